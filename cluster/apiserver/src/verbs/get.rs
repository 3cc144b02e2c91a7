//! `get`.

use api::Status;
use http::StatusCode;

use crate::call::Call;
use crate::reply::Reply;

pub(crate) async fn get(call: &Call) -> Result<Reply, Status> {
    let view = call.view().await?;
    let object = view.get(&call.key()).ok_or_else(|| call.not_found())?;
    call.object_reply(StatusCode::OK, object.value.clone(), object.revision).await
}
