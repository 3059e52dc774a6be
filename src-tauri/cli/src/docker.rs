//! One question to the Docker engine, for when no engine of ours runs that could tell.

use std::time::Duration;

use engine::config::DockerHost;
use engine::docker_host::{Endpoint, Surroundings, endpoints};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const ANSWER_WITHIN: Duration = Duration::from_secs(12);
/// An answer of `GET /containers/NAME/json` is some kilobytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The first engine that answers a ping, of those that the configuration allows.
pub(crate) async fn find(host: &DockerHost) -> Result<Endpoint, String> {
    let named = match host {
        DockerHost::Auto => "auto",
        DockerHost::Address(address) => address,
    };
    let candidates =
        endpoints(named, &Surroundings::of_this_process()).map_err(|error| error.to_string())?;
    let mut last = "no socket of a Docker engine was found".to_owned();
    for endpoint in candidates {
        match get(&endpoint, "/_ping").await {
            Ok((200, _)) => return Ok(endpoint),
            Ok((status, _)) => last = format!("{endpoint} answered {status}"),
            Err(error) => last = format!("{endpoint}: {error}"),
        }
    }
    Err(last)
}

/// A container's state in the engine's word; none: there is no such container.
/// Source: Docker Engine API, `GET /containers/{id}/json`.
pub(crate) async fn state(endpoint: &Endpoint, name: &str) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inspected {
        state: State,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        status: String,
    }
    let path = format!("/containers/{}/json", crate::connection::encoded(name));
    match get(endpoint, &path).await? {
        (200, body) => serde_json::from_slice::<Inspected>(&body)
            .map(|inspected| Some(inspected.state.status))
            .map_err(|error| format!("the answer about {name} is not understood: {error}")),
        (404, _) => Ok(None),
        (status, _) => Err(format!("the question about {name} was answered with {status}")),
    }
}

async fn get(endpoint: &Endpoint, path: &str) -> Result<(u16, Vec<u8>), String> {
    let asked = async {
        match endpoint {
            Endpoint::Unix(socket) => ask(UnixStream::connect(socket).await?, path).await,
            Endpoint::Tcp(address) => ask(TcpStream::connect(address).await?, path).await,
        }
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked)
        .await
        .map_err(|_| "no answer within 12 s".to_owned())?
        .map_err(|error| error.to_string())?;
    parse(&answer).ok_or_else(|| "what answered does not speak HTTP".into())
}

/// In HTTP/1.0, so that the answer has no chunks and ends with the connection.
async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
) -> std::io::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = str::from_utf8(answer.get(..end)?).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some((status, answer.get(end + 4..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = b"HTTP/1.0 200 OK\r\nServer: Docker\r\n\r\nOK";
        assert_eq!(parse(answer), Some((200, b"OK".to_vec())));
        for broken in [&b"SSH-2.0-OpenSSH\r\n\r\n"[..], b"HTTP/1.1 2\r\n\r\n", b"HTTP/1.0 200 OK"] {
            assert_eq!(parse(broken), None);
        }
    }
}
