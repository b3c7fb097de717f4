//! `/v1/models`: the model that is served.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::failure::Failure;
use super::{App, answered};

/// The one model.
pub async fn list(State(app): State<Arc<App>>) -> Response {
    let list = json!({"object": "list", "data": [card(&app)]});
    answered(StatusCode::OK, &list)
}

/// The model of this name, if it is that one.
pub async fn one(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    app.check_model(Some(&name))?;
    Ok(answered(StatusCode::OK, &card(&app)))
}

fn card(app: &App) -> Value {
    json!({
        "id": app.config.name,
        "object": "model",
        "created": app.started,
        "owned_by": "eurus",
        "max_model_len": app.context(),
    })
}
