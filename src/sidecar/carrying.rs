//! What a tunnel carries: bytes both ways, at the pace of whoever reads, each way until its end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use spillgate_actors::transport::Duplex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

/// Carries bytes between two connections until both have said all, one of them breaks, or nothing
/// has moved either way for a while. Both are closed then.
pub(super) async fn carry(near: impl Duplex, far: impl Duplex, idle_max: Duration) {
    let (near_in, near_out) = tokio::io::split(near);
    let (far_in, far_out) = tokio::io::split(far);
    let moved = Moved::new();
    let both =
        async { tokio::try_join!(pass(near_in, far_out, &moved), pass(far_in, near_out, &moved)) };
    tokio::select! {
        // How a tunnel ends is the business of its two ends.
        _ = both => {}
        () = moved.stopped(idle_max) => {}
    }
}

/// Carries one way, and ends it where it ended.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    moved: &Moved,
) -> io::Result<()> {
    let mut room = vec![0; CHUNK];
    loop {
        let count = from.read(&mut room).await?;
        moved.note();
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(room.get(..count).unwrap_or_default()).await?;
        to.flush().await?;
        moved.note();
    }
}

/// When anything moved last.
struct Moved {
    began: Instant,
    after_ms: AtomicU64,
}

impl Moved {
    fn new() -> Self {
        Self { began: Instant::now(), after_ms: AtomicU64::new(0) }
    }

    fn note(&self) {
        let after_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.after_ms.store(after_ms, Ordering::Relaxed);
    }

    /// Waits until nothing has moved for that long.
    async fn stopped(&self, idle_max: Duration) {
        loop {
            let moved_after = Duration::from_millis(self.after_ms.load(Ordering::Relaxed));
            let idle = self.began.elapsed().saturating_sub(moved_after);
            match idle_max.checked_sub(idle) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                Some(_) | None => return,
            }
        }
    }
}

/// Bytes that are carried at once, each way.
const CHUNK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn each_way_ends_by_itself() {
        let (mut near, near_end) = tokio::io::duplex(8);
        let (mut far, far_end) = tokio::io::duplex(8);
        let carried = tokio::spawn(carry(near_end, far_end, IDLE));
        near.write_all(b"ask").await.unwrap();
        near.shutdown().await.unwrap();
        let mut asked = String::new();
        far.read_to_string(&mut asked).await.unwrap();
        assert_eq!(asked, "ask");
        let answering = tokio::spawn(async move {
            far.write_all(b"a longer answer than fits").await.unwrap();
            far.shutdown().await.unwrap();
        });
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        answering.await.unwrap();
        assert_eq!(answer, "a longer answer than fits");
        carried.await.unwrap();
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let (mut near, near_end) = tokio::io::duplex(8);
        let (mut far, far_end) = tokio::io::duplex(8);
        let carried = tokio::spawn(carry(near_end, far_end, Duration::from_millis(20)));
        near.write_all(b"ask").await.unwrap();
        far.read_exact(&mut [0; 3]).await.unwrap();
        carried.await.unwrap();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn whoever_does_not_read_is_not_sent_more() {
        let (mut near, near_end) = tokio::io::duplex(8);
        let (far, far_end) = tokio::io::duplex(8);
        tokio::spawn(carry(near_end, far_end, IDLE));
        let (mut taken, mut refused) = (0, 0);
        while refused < 100 {
            match near.write(&[0; 8]).now_or_never() {
                Some(count) => (taken, refused) = (taken + count.unwrap(), 0),
                None => refused += 1,
            }
            assert!(taken <= 2 * CHUNK, "it goes into nobody's memory");
            tokio::task::yield_now().await;
        }
        drop(far);
    }
}
