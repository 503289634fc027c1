//! Whole jobs in networks as companies have them: behind a proxy that wants a password and takes TLS apart,
//! without a route past it; with an app that wants a client certificate; by IPv6.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behind;
mod client_certificate;
mod ipv6;
mod scene;
