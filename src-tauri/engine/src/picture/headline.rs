//! What is said of the whole: the summary, and the two lines at the top.

use doctor::Sentence;

use crate::view::{self, State, Summary, Target};
use crate::words::Words;

/// `looks`: of something the first verdict is still to come.
pub(super) fn summary(targets: &[Target], open: &[view::Incident], looks: bool) -> Summary {
    let found: Vec<&Target> = targets.iter().filter(|target| target.found).collect();
    let any = |states: &[State]| found.iter().any(|target| states.contains(&target.state));
    let with_cause =
        found.iter().any(|target| target.state == State::Degraded && target.cause.is_some());
    if any(&[State::GivenUp, State::Down]) || with_cause {
        Summary::Attention
    } else if found.iter().any(|target| is_being_healed(target, open)) {
        Summary::Healing
    } else if !looks && any(&[State::Healthy, State::Slow]) {
        Summary::Well
    } else {
        Summary::Unknown
    }
}

/// Being repaired, or in an incident that no verdict has ended yet. One that a person is stopping is
/// not.
fn is_being_healed(target: &Target, open: &[view::Incident]) -> bool {
    let in_incident = open.iter().any(|incident| incident.target == target.id);
    target.intent != view::Intent::Held
        && (target.state == State::Recovering || (target.state == State::Degraded && in_incident))
}

/// What was configured is not watched: that what runs by default is well says nothing of it.
pub(super) fn unread(wrong: &str, words: &Words) -> (String, String) {
    let first = wrong.lines().next().unwrap_or_default();
    let says = Sentence::new("subline.unread").with("wrong", first);
    (words.say("headline.unread"), words.sentence(&says))
}

pub(super) fn headline(
    summary: Summary,
    targets: &[Target],
    open: &[view::Incident],
    words: &Words,
) -> (String, String) {
    let found: Vec<&Target> = targets.iter().filter(|target| target.found).collect();
    let sick: Vec<&&Target> = found
        .iter()
        .filter(|target| {
            matches!(target.state, State::GivenUp | State::Down)
                || (target.state == State::Degraded && target.cause.is_some())
        })
        .collect();
    let named = |key: &str, target: &Target| {
        words.sentence(&Sentence::new(key).with("target", target.name.as_str()))
    };
    let headline = match summary {
        Summary::Well => words.say("headline.well"),
        Summary::Unknown => words.say("headline.unknown"),
        Summary::Healing => found
            .iter()
            .find(|target| is_being_healed(target, open))
            .map(|target| named("headline.healing", target))
            .unwrap_or_default(),
        Summary::Attention => match sick.as_slice() {
            [one] => named("headline.attention", one),
            many => {
                let count = i64::try_from(many.len()).unwrap_or(0);
                words.sentence(&Sentence::new("headline.attention_many").with("count", count))
            }
        },
    };
    let well = found.iter().filter(|target| matches!(target.state, State::Healthy | State::Slow));
    let count = |number: usize| i64::try_from(number).unwrap_or(0);
    let subline = match sick.as_slice() {
        [one] => one.cause.as_ref().map(|cause| cause.text.clone()).unwrap_or_default(),
        _ => words.sentence(
            &Sentence::new("subline.others")
                .with("well", count(well.count()))
                .with("all", count(found.len())),
        ),
    };
    (headline, subline)
}
