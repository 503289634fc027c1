//! What a hostile caller of the proxy tries, over real sockets.

use tokio::time::Instant;

use super::*;

/// Places that are on no list; most of them mean this machine.
const NOT_LISTED: [&str; 14] = [
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "127.0.0.1.",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "A.EXAMPLE..",
];

#[tokio::test]
async fn an_address_that_is_not_listed_is_refused_in_every_spelling() {
    let (port, served) = server(b"\r\n\r\n", OK).await;
    let filter = filter("a.example,.b.example,203.0.113.1", "").await;
    for host in NOT_LISTED {
        for request in [format!("CONNECT {host}:{port}"), format!("GET http://{host}:{port}/")] {
            let text = format!("{request} HTTP/1.1\r\nconnection: close\r\n\r\n");
            let answer = ask(&filter, &text).await;
            let refused = ["HTTP/1.1 403", "HTTP/1.1 400"].iter().any(|it| answer.starts_with(it));
            assert!(refused, "{request}: {answer}");
        }
    }
    assert!(!served.is_finished());
    filter.shutdown().await;
}

#[tokio::test]
async fn a_listed_name_beside_another_host_opens_no_way_to_that() {
    let filter = filter("a.example", "").await;
    for request in [
        "CONNECT a.example@evil.example:443",
        "CONNECT a.example:443@evil.example:443",
        "CONNECT evil.example:443#a.example",
        "CONNECT evil.example:443/a.example",
        "CONNECT evil.example\\a.example:443",
        "CONNECT a.example%00.evil.example:443",
        "CONNECT a.example.evil.example:443",
        "CONNECT a.example:25",
        "GET http://a.example@evil.example/",
        "GET http://evil.example#@a.example/",
        "GET http://evil.example\\@a.example/",
        "GET http://a.example%2eevil.example/",
        "GET http://a.example:443:80/",
    ] {
        let text = format!("{request} HTTP/1.1\r\nconnection: close\r\n\r\n");
        let answer = ask(&filter, &text).await;
        let refused = ["HTTP/1.1 403", "HTTP/1.1 400"].iter().any(|it| answer.starts_with(it));
        assert!(refused, "{request}: {answer}");
    }
    filter.shutdown().await;
}

#[tokio::test]
async fn a_host_header_that_is_not_the_one_of_the_url_is_turned_down() {
    let filter = filter("a.example,b.example", "").await;
    for headers in [
        "host: b.example\r\n",
        "host: a.example\r\nhost: b.example\r\n",
        "host: b.example\r\nhost: a.example\r\n",
        "host: a.example@b.example\r\n",
        "host: a.example, b.example\r\n",
        "host: a.example\r\n b.example\r\n",
        "host : a.example\r\n",
        "host:\r\n",
    ] {
        let text = format!("GET http://a.example/ HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        let answer = ask(&filter, &text).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
    }
    filter.shutdown().await;
}

#[tokio::test]
async fn each_request_of_a_connection_is_judged_for_itself() {
    let (port, served) = server(b"\r\n\r\n", OK).await;
    let filter = filter("", &format!("localhost:{port}")).await;
    let own = format!("GET http://localhost:{port}/ HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n");
    let other = "GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    let tunnel = "CONNECT evil.example:443 HTTP/1.1\r\nconnection: close\r\n\r\n";
    let answer = ask(&filter, &format!("{own}{other}{tunnel}")).await;
    let codes = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]);
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes, ["200", "403", "403"], "{answer}");
    assert!(!served.await.unwrap().contains("evil"));
    filter.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_never_ends_its_head_is_left_after_a_minute() {
    let filter = filter("", "").await;
    let start = Instant::now();
    let mut slow = TcpStream::connect(filter.places.proxy).await.unwrap();
    slow.write_all(b"GET http://a.example/ HTTP/1.1\r\nx: ").await.unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 60);
    filter.shutdown().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let policy =
        Policy { allow: Rules::default(), trusted: Rules::default(), others: Others::Refused };
    let tasks = Tasks::until(CancellationToken::new());
    let listener = TcpListener::bind(FREE.proxy).await.unwrap();
    let address = listener.local_addr().unwrap();
    let places = Arc::new(tokio::sync::Semaphore::new(2));
    let proxy =
        Proxy::with_places(Arc::new(Filter::new(policy, upstream(""))), tasks.clone(), places);
    tasks.own(proxy.serve(listener));
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET http://a.example/ HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut stream).await, "HTTP/1.1 403");
        open.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let mut asked = Box::pin(ask(&mut third));
    let short = std::time::Duration::from_millis(200);
    assert!(tokio::time::timeout(short, &mut asked).await.is_err());
    open.pop();
    assert_eq!(asked.await, "HTTP/1.1 403");
    tasks.end().await;
}
