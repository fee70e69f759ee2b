//! Writes the client and the server of the gRPC service. It is described here and not in a `.proto`
//! file, so that no compiler of those must be installed.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let echo = Method::builder()
        .name("echo")
        .route_name("Echo")
        .input_type("crate::grpc::Text")
        .output_type("crate::grpc::Text")
        .codec_path("tonic_prost::ProstCodec")
        .build();
    let service = Service::builder().name("Echo").package("peers").method(echo).build();
    Builder::new().compile(&[service]);
}
