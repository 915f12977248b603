//! The list of all users, sent while it is made.

use std::sync::Arc;

use attuned_store::{Result, StateStore as _};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::app::App;
use crate::problem::Answer;
use crate::walk::walk;

/// How many ids are sent at a time, at the most.
const PORTION: usize = 1024;

/// One id a line.
///
/// It takes bounded memory, however many users there are and however slowly the client
/// reads. After the first portion an error can only break the answer off.
pub async fn list_users(State(app): State<Arc<App>>) -> Answer {
    let (sender, mut portions) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut portions = app.store.list().ready_chunks(PORTION);
        while let Some(portion) = walk(portions.next()).await {
            // A client who goes away ends it.
            if sender.send(lines(portion)).await.is_err() {
                return;
            }
        }
    });
    let first = portions.recv().await.transpose()?;
    let rest = stream::poll_fn(move |context| portions.poll_recv(context));
    let body = Body::from_stream(stream::iter(first.map(Ok)).chain(rest));
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

fn lines(ids: Vec<Result<String>>) -> Result<String> {
    ids.into_iter().map(|id| Ok(id? + "\n")).collect()
}
