//! tonic: gRPC, with protobuf messages, over HTTP/2 on a Unix socket. There is no TLS, no limit on time
//! and no layer of middleware.

use crate::rounds::Caller;
use crate::{Failed, TEXT_BYTES, text};
use std::os::unix::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

/// What `build.rs` writes, which exports more than a program can.
#[allow(missing_docs, unreachable_pub)]
mod service {
    tonic::include_proto!("peers.Echo");
}

use service::echo_client::EchoClient;
use service::echo_server::{Echo, EchoServer};

/// The message, both ways.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// The side that answers.
#[derive(Debug)]
struct Answers;

#[tonic::async_trait]
impl Echo for Answers {
    async fn echo(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// Answers every connection. It ends with the benchmark, which kills it.
pub(crate) async fn serve(listener: UnixListener) -> Result<(), Failed> {
    let incoming = UnixListenerStream::new(tokio::net::UnixListener::from_std(listener)?);
    Server::builder().add_service(EchoServer::new(Answers)).serve_with_incoming(incoming).await?;
    Ok(())
}

/// The side that asks.
pub(crate) async fn connect(socket: &str) -> Result<EchoCaller, Failed> {
    let channel = Endpoint::try_from(format!("unix://{socket}"))?.connect().await?;
    Ok(EchoCaller { client: EchoClient::new(channel), text: text() })
}

/// A client and what it sends.
#[derive(Clone, Debug)]
pub(crate) struct EchoCaller {
    client: EchoClient<Channel>,
    text: String,
}

impl Caller for EchoCaller {
    async fn call(&mut self) -> Result<(), Failed> {
        let answer = self.client.echo(Text { text: self.text.clone() }).await?.into_inner();
        if answer.text.len() != TEXT_BYTES {
            return Err(format!("expected {TEXT_BYTES} bytes, found {}", answer.text.len()).into());
        }
        Ok(())
    }
}
