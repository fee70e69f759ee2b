//! tarpc over a Unix socket, with each of its two usual encodings. A call has tarpc's deadline and its tracing context,
//! as every call of tarpc has.

use crate::rounds::Caller;
use crate::{Failed, TEXT_BYTES, text};
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::str::FromStr;
use tarpc::serde_transport::{self, unix};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::{Bincode, Json};
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{ClientMessage, Response, Transport, client, context};
use tokio_stream::StreamExt;

/// How a message is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Bincode,
    Json,
}

impl FromStr for Encoding {
    type Err = Failed;

    fn from_str(peer: &str) -> Result<Encoding, Failed> {
        match peer {
            "tarpc-bincode" => Ok(Encoding::Bincode),
            "tarpc-json" => Ok(Encoding::Json),
            other => Err(format!("expected tonic, tarpc-bincode or tarpc-json, found {other:?}").into()),
        }
    }
}

/// What the macro makes, which has no documentation of its own.
#[allow(missing_docs)]
mod service {
    /// The one call that is measured.
    #[tarpc::service]
    pub(crate) trait Echo {
        /// Answers with what it was sent.
        async fn echo(text: String) -> String;
    }
}

use service::{Echo, EchoClient, EchoRequest, EchoResponse};

/// The side that answers.
#[derive(Clone, Debug)]
struct Server;

impl Echo for Server {
    async fn echo(self, _: context::Context, text: String) -> String {
        text
    }
}

/// Answers one connection until it ends.
pub(crate) async fn serve(encoding: Encoding, listener: UnixListener) -> Result<(), Failed> {
    let (stream, _) = tokio::net::UnixListener::from_std(listener)?.accept().await?;
    let frames = LengthDelimitedCodec::builder().new_framed(stream);
    match encoding {
        Encoding::Bincode => answer(serde_transport::new(frames, Bincode::default())).await,
        Encoding::Json => answer(serde_transport::new(frames, Json::default())).await,
    }
    Ok(())
}

async fn answer<T>(transport: T)
where
    T: Transport<Response<EchoResponse>, ClientMessage<EchoRequest>> + Send + 'static,
{
    let mut answers = pin!(BaseChannel::with_defaults(transport).execute(Server.serve()));
    while let Some(answer) = answers.next().await {
        tokio::spawn(answer);
    }
}

/// The side that asks.
pub(crate) async fn connect(encoding: Encoding, socket: &str) -> Result<EchoCaller, Failed> {
    let config = client::Config::default();
    let client = match encoding {
        Encoding::Bincode => EchoClient::new(config, unix::connect(socket, Bincode::default).await?).spawn(),
        Encoding::Json => EchoClient::new(config, unix::connect(socket, Json::default).await?).spawn(),
    };
    Ok(EchoCaller { client, text: text() })
}

/// A client and what it sends.
#[derive(Clone, Debug)]
pub(crate) struct EchoCaller {
    client: EchoClient,
    text: String,
}

impl Caller for EchoCaller {
    async fn call(&mut self) -> Result<(), Failed> {
        let answer = self.client.echo(context::current(), self.text.clone()).await?;
        if answer.len() != TEXT_BYTES {
            return Err(format!("expected {TEXT_BYTES} bytes, found {}", answer.len()).into());
        }
        Ok(())
    }
}
