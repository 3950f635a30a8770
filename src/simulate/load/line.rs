//! One keep-alive connection of HTTP/1.1, opened when it is needed and driven by the task that uses
//! it. A request goes in, a status comes out; the body of the answer is read and forgotten.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::simulate::route::Prepared;

/// Time from the first byte sent to the last one read, after which a connection is given up.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);
/// Time to connect.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

type Connection = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection, open or not.
pub(super) struct Line {
    authority: String,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection,
}

/// The status a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// Its number.
    pub(super) status: u16,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Nobody there.
    #[error("failed to connect")]
    Connect(#[from] std::io::Error),
    /// The connection ended or spoke nonsense.
    #[error("failed to exchange")]
    Http(#[from] hyper::Error),
    /// The connection ended before the answer.
    #[error("connection closed")]
    Closed,
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
}

impl Line {
    /// A line to `host:port`, not yet open.
    pub(super) fn new(authority: String) -> Self {
        Self { authority, open: None }
    }

    /// Sends a request and reads its answer. The connection survives only a whole exchange.
    pub(super) async fn exchange(&mut self, request: Prepared) -> Result<Answered, Broken> {
        let mut open = self.ready().await?;
        let answered = tokio::time::timeout(ANSWER_WAIT_MAX, open.exchange(request))
            .await
            .map_err(|_elapsed| Broken::TimedOut)??;
        self.open = Some(open);
        Ok(answered)
    }

    /// The open connection, or another where the server has closed it meanwhile: nothing was sent
    /// on it yet, so nothing is in doubt.
    async fn ready(&mut self) -> Result<Open, Broken> {
        if let Some(mut open) = self.open.take()
            && open.ready().await.is_ok()
        {
            return Ok(open);
        }
        let mut open = tokio::time::timeout(CONNECT_WAIT_MAX, Open::connect(&self.authority))
            .await
            .map_err(|_elapsed| Broken::TimedOut)??;
        open.ready().await?;
        Ok(open)
    }
}

impl Open {
    async fn connect(authority: &str) -> Result<Self, Broken> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection })
    }

    async fn ready(&mut self) -> Result<(), Broken> {
        Ok(alongside(&mut self.connection, self.sender.ready()).await??)
    }

    async fn exchange(&mut self, request: Prepared) -> Result<Answered, Broken> {
        let response = alongside(&mut self.connection, self.sender.send_request(request)).await??;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = alongside(&mut self.connection, body.frame()).await? {
            frame?;
        }
        Ok(Answered { status })
    }
}

/// Drives the connection while something is awaited from it, in the same task: no hand-over between
/// threads for each request.
async fn alongside<F: Future>(connection: &mut Connection, awaited: F) -> Result<F::Output, Broken> {
    let mut awaited = pin!(awaited);
    tokio::select! {
        biased;
        output = &mut awaited => Ok(output),
        _ended = connection => awaited_after_end(awaited).await,
    }
}

/// An answer may have come with the connection's last bytes.
async fn awaited_after_end<F: Future>(awaited: std::pin::Pin<&mut F>) -> Result<F::Output, Broken> {
    let mut awaited = awaited;
    std::future::poll_fn(|context| match awaited.as_mut().poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Ok(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(Err(Broken::Closed)),
    })
    .await
}
