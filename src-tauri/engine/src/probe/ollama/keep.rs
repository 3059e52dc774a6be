//! How long models stay in memory, and giving back what our question has taken.
//!
//! A request's `keep_alive` stays with the model: later requests that name none get it too
//! (server/sched.go `useLoadedRunner`). So a question that is to leave a model's end alone, and
//! therefore brings the rest of its time, shortens the time after the next request of somebody
//! else. When that one has come, the model gets its old time back.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use super::ability::Does;
use super::question::Question;
use super::running::Running;

/// An end that differs by less is the same: answers take their time.
const SAME: Duration = Duration::from_secs(2);
/// Somebody's request may have ended so long before we look.
const AGO: Duration = Duration::from_secs(15);
/// Times are mostly whole multiples of it, and are seen some seconds late.
const ROUND: u64 = 30;

#[derive(Default)]
pub(super) struct Keep {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    ends: Timestamp,
    /// Its time after a request.
    whole: Duration,
    /// What our question has put in its place.
    lent: Option<(Duration, Does)>,
}

impl Keep {
    /// Looks at what is loaded, and puts right what our earlier questions have changed.
    pub(super) async fn tend(&self, url: &str, list: &[Running]) {
        for (running, whole, does) in self.due(list, Timestamp::now()) {
            tracing::debug!(model = running.name, ?whole, "its time in memory is given back");
            Question::about(url, &running, does, Duration::ZERO).settle(whole).await;
        }
    }

    /// Our question has left this time with the model.
    pub(super) fn lent(&self, model: &str, left: Duration, does: Does) {
        if let Ok(mut known) = self.known.lock()
            && let Some(known) = known.get_mut(model)
        {
            known.lent = Some((left, does));
        }
    }

    fn due(&self, list: &[Running], now: Timestamp) -> Vec<(Running, Duration, Does)> {
        let Ok(mut known) = self.known.lock() else { return Vec::new() };
        known.retain(|name, _| list.iter().any(|running| running.name == *name));
        let mut due = Vec::new();
        for running in list {
            let Some((ends, left)) = running.ends_at(now) else { continue };
            let fresh = Known { ends, whole: rounded(left), lent: None };
            let Some(before) = known.get_mut(&running.name) else {
                known.insert(running.name.clone(), fresh);
                continue;
            };
            let moved = ends.duration_since(before.ends).unsigned_abs() > SAME;
            if !moved {
                continue;
            }
            match before.lent {
                Some((given, does))
                    if left <= given + SAME
                        && left + AGO >= given
                        && before.whole > given + SAME =>
                {
                    due.push((running.clone(), before.whole, does));
                    let ends = now.checked_add(before.whole).unwrap_or(ends);
                    *before = Known { ends, whole: before.whole, lent: None };
                }
                // Somebody's request has brought a time of its own.
                Some(_) | None => *before = fresh,
            }
        }
        due
    }
}

fn rounded(left: Duration) -> Duration {
    Duration::from_secs(left.as_secs().div_ceil(ROUND) * ROUND)
}

#[cfg(test)]
mod tests {
    use super::super::running::Ends;
    use super::*;

    const DOES: Does = Does::Generate { thinks: false };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn ends(second: i64) -> Vec<Running> {
        vec![Running { ends: Ends::At(at(second)), ..Running::absent("m") }]
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn r7_a_shortened_time_is_given_back_after_the_next_request() {
        let keep = Keep::default();
        // Five minutes, seen eight seconds late.
        assert_eq!(keep.due(&ends(300), at(8)), []);
        keep.lent("m", seconds(180), DOES);
        assert_eq!(keep.due(&ends(300), at(130)), [], "nobody has used it yet");
        // Somebody's request ended at 200 and got our three minutes.
        let due = keep.due(&ends(380), at(206));
        assert_eq!(due.iter().map(|(_, whole, _)| *whole).collect::<Vec<_>>(), [seconds(300)]);
        assert_eq!(keep.due(&ends(506), at(216)), [], "given back once");
    }

    #[test]
    fn r7_a_time_that_somebody_chose_is_left_alone() {
        let keep = Keep::default();
        keep.due(&ends(300), at(8));
        keep.lent("m", seconds(180), DOES);
        // An hour, and half a minute.
        for end in [3800, 230] {
            assert_eq!(keep.due(&ends(end), at(206)), [], "{end}");
            keep.lent("m", seconds(3000), DOES);
        }
    }

    #[test]
    fn a_model_that_never_goes_has_no_time_to_give_back() {
        let keep = Keep::default();
        let never = vec![Running { ends: Ends::Never, ..Running::absent("m") }];
        assert_eq!(keep.due(&never, at(0)), []);
        keep.lent("m", seconds(1), DOES);
        assert_eq!(keep.due(&never, at(1000)), []);
    }
}
