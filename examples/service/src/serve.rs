//! The life of the service: it serves, sweeps, and ends when asked.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::App;
use crate::routes;
use crate::settings::Settings;

/// Serves until `stop` is ready. Then it ends the event streams, and serves until open requests
/// are answered or the grace is over.
///
/// # Errors
///
/// What keeps the socket from accepting connections.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    if let Some(memory) = app.memory() {
        // It ends with the store. A store on a log sweeps by itself.
        tokio::spawn(memory.sweep_every(settings.sweep_every));
    }
    let (close, closed) = oneshot::channel::<()>();
    let serving = axum::serve(listener, routes::router(Arc::clone(&app)))
        .with_graceful_shutdown(async { drop(closed.await) });
    let out_of_grace = async {
        stop.await;
        tracing::info!("stopping");
        drop(close);
        app.streams.end();
        tokio::time::sleep(settings.grace).await;
    };
    // What has not ended by itself is dropped, and so ends with the service.
    tokio::select! {
        served = serving => served,
        () = out_of_grace => {
            tracing::warn!("some requests were not answered in time");
            Ok(())
        }
    }
}
