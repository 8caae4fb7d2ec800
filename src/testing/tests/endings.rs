//! Answers that come in pieces, stop half-way, or never come.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use super::super::Drill;
use super::{WAIT, ask, content_length, get, read_head};

#[tokio::test]
async fn reset_is_a_tcp_reset_before_any_byte() {
    let drill = Drill::start().unwrap();
    for method_body in ["", "?key=again"] {
        let mut stream = ask(&drill, &format!("/reset{method_body}")).await;
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(drill.in_flight(), 0);
    assert_eq!(drill.aborted("/reset"), 0);
}

#[tokio::test]
async fn reset_comes_after_the_bytes_asked_for() {
    let drill = Drill::start().unwrap();
    for after in [0, 1, 5_000, 100_000] {
        let mut stream = ask(&drill, &format!("/reset?after={after}")).await;
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut body = vec![0; after];
        stream.read_exact(&mut body).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {after}");
    }
}

#[tokio::test]
async fn close_ends_without_a_byte_and_without_a_reset() {
    let drill = Drill::start().unwrap();
    let mut answer = Vec::new();
    ask(&drill, "/close").await.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
    let post = super::client().post(drill.url("/close")).body("unread").send().await;
    assert!(post.is_err());
    assert_eq!(drill.hits_at("/close"), 2);
    assert_eq!(drill.aborted("/close"), 0);
}

#[tokio::test]
async fn truncate_promises_more_than_it_sends() {
    let drill = Drill::start().unwrap();
    for bytes in [0, 10, 70_000] {
        let mut stream = ask(&drill, &format!("/truncate?bytes={bytes}")).await;
        let head = read_head(&mut stream).await;
        let mut body = Vec::new();
        stream.read_to_end(&mut body).await.unwrap();
        assert_eq!(body.len(), bytes);
        assert!(content_length(&head) > bytes);
    }
    assert!(get(&drill, "/truncate?bytes=10").await.bytes().await.is_err());
    assert_eq!(drill.in_flight(), 0);
    assert_eq!(drill.aborted("/truncate"), 0);
}

#[tokio::test]
async fn stall_sends_its_bytes_then_holds_the_line() {
    let drill = Drill::start().unwrap();
    for after in [0, 40_000] {
        let mut stream = ask(&drill, &format!("/stall?after={after}")).await;
        let head = read_head(&mut stream).await;
        assert!(content_length(&head) > after);
        let mut body = vec![0; after];
        stream.read_exact(&mut body).await.unwrap();
        assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(drill.in_flight(), 1);
        drop(stream);
        drill.wait_for(|ledger| ledger.in_flight() == 0, WAIT).await.unwrap();
    }
    assert_eq!(drill.aborted("/stall"), 2);
}

#[tokio::test]
async fn slow_takes_its_pauses() {
    let drill = Drill::start().unwrap();
    let start = Instant::now();
    let body = get(&drill, "/slow?bytes=100&chunk=30&every=20").await.bytes().await.unwrap();
    assert_eq!(body.len(), 100);
    assert!(start.elapsed() >= Duration::from_millis(60), "three pauses between four pieces");
    let body = get(&drill, "/slow?bytes=100000&chunk=90000&every=1").await.bytes().await.unwrap();
    assert_eq!(body.len(), 100_000);
}

#[tokio::test]
async fn slow_sends_piece_by_piece() {
    let drill = Drill::start().unwrap();
    let mut stream = ask(&drill, "/slow?bytes=20&chunk=7&every=86400000").await;
    assert_eq!(content_length(&read_head(&mut stream).await), 20);
    let mut piece = [0; 20];
    let len = stream.read(&mut piece).await.unwrap();
    assert_eq!(&piece[..len], b"abcdefg");
    assert_eq!(drill.in_flight(), 1);
}

#[tokio::test]
async fn drip_goes_on_and_hides_its_length() {
    let drill = Drill::start().unwrap();
    let mut answer = get(&drill, "/drip?bps=1000").await;
    assert_eq!(answer.content_length(), None);
    for _ in 0..3 {
        assert!(!answer.chunk().await.unwrap().unwrap().is_empty());
    }
    assert_eq!(drill.in_flight(), 1);
    drop(answer);
    drill.wait_for(|ledger| ledger.aborted("/drip") == 1, WAIT).await.unwrap();
}

#[tokio::test]
async fn two_hundred_megabytes_are_streamed() {
    let drill = Drill::start().unwrap();
    let mut answer = get(&drill, "/ok?bytes=200000000").await;
    let mut received = 0;
    while let Some(piece) = answer.chunk().await.unwrap() {
        received += piece.len();
    }
    assert_eq!(received, 200_000_000);
    assert_eq!(drill.in_flight(), 0);
}
