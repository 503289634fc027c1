//! A plain HTTP request on its way: read from the proxy's caller, written anew to its target.

use api_client::error_chain;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;

use super::filter::Connected;
use super::host::Target;
use super::proxy::{Body, Proxy, Refusal};
use super::upstream::{Hop, Way};

/// The port of plain HTTP.
const HTTP: u16 = 80;

/// Headers that are about one connection and not about the request (RFC 9110, 7.6.1), and `Expect`,
/// which is answered here.
const OF_THE_CONNECTION: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Passes a request on, if its target is let through, and its answer back.
pub(super) async fn forward(
    proxy: &Proxy,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let target = target(&request).inspect_err(|refusal| {
        let asked = request.uri().authority().map_or("-", |authority| authority.host());
        proxy.filter.refused(&format!("HTTP {asked}"), &refusal.message);
    })?;
    let connected = proxy.filter.connect(Way::Http, &target).await;
    let Connected { stream, hop } =
        connected.map_err(|denial| Refusal::denied(&target, &denial))?;
    rewrite(&mut request, &target, hop.as_ref())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&target, &error))?;
    proxy.tasks.own(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = error_chain(&error), "a connection of the proxy broke");
        }
    });
    let response = sender.send_request(request).await.map_err(|error| broken(&target, &error))?;
    let mut response = response.map(Either::Right);
    strip(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    Ok(response)
}

/// Where a request is to go: by its whole URL, which its Host header must not contradict.
fn target(request: &Request<Incoming>) -> Result<Target, Refusal> {
    let uri = request.uri();
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Refusal::malformed("this is a proxy: requests to it name a whole URL"));
    };
    if scheme != "http" {
        let message = format!("{scheme} goes through this proxy by CONNECT alone");
        return Err(Refusal::malformed(&message));
    }
    let target = Target::parse(authority.as_str(), Some(HTTP))
        .map_err(|error| Refusal::malformed(&format!("the URL's host is {error}")))?;
    for host in request.headers().get_all(header::HOST) {
        let host = host.to_str().ok().and_then(|host| Target::parse(host, Some(HTTP)).ok());
        if host.as_ref() != Some(&target) {
            return Err(Refusal::malformed("the Host header is not the host of the URL"));
        }
    }
    Ok(target)
}

/// Makes of a request to this proxy one to the server itself, or to the proxy before this one.
fn rewrite(
    request: &mut Request<Incoming>,
    target: &Target,
    hop: Option<&Hop>,
) -> Result<(), Refusal> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = match hop {
        None => path.to_owned(),
        Some(_) => format!("http://{target}{path}"),
    };
    *request.uri_mut() =
        uri.parse::<Uri>().map_err(|_| Refusal::malformed("the URL's path cannot be passed on"))?;
    *request.version_mut() = Version::HTTP_11;
    strip(request.headers_mut());
    // How long the body is was found out when it was read, and is said anew when it is written.
    request.headers_mut().remove(header::CONTENT_LENGTH);
    let host = if target.port == HTTP { target.host.to_string() } else { target.to_string() };
    let host = HeaderValue::try_from(host)
        .map_err(|_| Refusal::malformed("the URL's host cannot be passed on"))?;
    request.headers_mut().insert(header::HOST, host);
    if let Some(authorization) = hop.and_then(Hop::authorization) {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(())
}

/// Takes away what is about the connection.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in named {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
}

fn broken(target: &Target, error: &hyper::Error) -> Refusal {
    let message = format!("{target}: no answer could be read: {}", error_chain(error));
    Refusal { status: StatusCode::BAD_GATEWAY, message }
}
