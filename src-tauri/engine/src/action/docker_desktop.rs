//! `docker desktop restart`: ends every container, and only a person asks for it.

use std::time::Duration;

use doctor::{Body, Outcome, Reply};

use super::compose::{command, folders, run};
use crate::probe::docker::Docker;

/// The report is to be there before nobody waits for it any more.
const MARGIN: Duration = Duration::from_secs(5);

impl Docker {
    /// With Docker's own command (from Docker Desktop 4.37 on; FACTS C.4), which waits until it is
    /// done (docs.docker.com, `docker desktop restart`). Nothing is done to an engine that answers
    /// again. A command that takes too long has been given all the same: whether it helped, the
    /// engine tells.
    pub async fn restart_desktop(&self, within: Duration) -> Outcome {
        let answers = Reply::Status { code: 200, body: Body::Expected };
        if self.ping().await.ping.reply == answers {
            return Outcome::IdentityChanged;
        }
        let failed = |reason: String| Outcome::Failed { reason, permanent: true };
        let surroundings = self.surroundings();
        let programs = folders(surroundings).into_iter().map(|folder| folder.join("docker"));
        let Some(program) = programs.into_iter().find(|file| file.is_file()) else {
            return failed("the `docker` command was not found; restart Docker Desktop".into());
        };
        let program = program.display().to_string();
        let command = command(&[program, "desktop".into(), "restart".into()], surroundings);
        let asked = tokio::time::timeout(within.saturating_sub(MARGIN), run(command, within));
        match asked.await {
            Ok(Ok(ended)) if ended.success => Outcome::Done,
            Ok(Ok(ended)) => failed(format!("`docker desktop restart` failed: {}", ended.output)),
            Ok(Err(reason)) => failed(reason),
            Err(_) => Outcome::Done,
        }
    }
}
