//! What goes on beside the jobs, until the daemon ends it.

use std::sync::Arc;

use api_client::error_chain;
use tokio_util::sync::CancellationToken;

use super::Daemon;
use crate::context::Context;
use crate::{control, health, housekeeping, notification, probe, watchdog};

impl Daemon {
    /// Begins all of it. Each task ends with the daemon's token, and is joined.
    pub(super) fn begin_background(&self) {
        self.beside(move |ctx, end| async move { housekeeping::run(&ctx, &end).await });
        self.beside(move |ctx, end| async move { probe::run(&ctx, &end).await });
        self.beside(move |ctx, end| async move { watchdog::run(&ctx, &end).await });
        if let Some(listen) = self.ctx.config().health.clone() {
            self.beside(move |ctx, end| async move { health::run(ctx, &listen, end).await });
        }
        self.beside(move |ctx, end| async move {
            ctx.traces.send(|| ctx.config().app.network.anonymous(), &end).await;
        });
        self.beside(move |ctx, end| async move { notification::run(&ctx, &end).await });
        self.beside(move |ctx, end| async move { notification::watch(&ctx, &end).await });
        self.beside(move |ctx, end| async move {
            if let Some(log) = ctx.log.get() {
                end.run_until_cancelled(log.levels.go_back()).await;
            }
        });
        match control::listen(&self.ctx.state_dir) {
            Ok(listener) => {
                self.beside(
                    move |ctx, end| async move { control::serve(listener, ctx, end).await },
                );
            }
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(error, "no control socket: `coordinator status` will not answer");
            }
        }
    }

    fn beside<F>(&self, task: impl FnOnce(Arc<Context>, CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tasks, end) = &self.background;
        tasks.spawn(task(Arc::clone(&self.ctx), end.clone()));
    }
}
