//! The trait, and a function as a model.

use std::sync::Arc;

use crate::{ChatRequest, Completion, Error, Result};

/// Something that completes a chat.
///
/// One completion per requested sample comes back, in a fixed order. A model that honors
/// [`Sampling::seed`](crate::Sampling::seed) answers equal requests equally, whatever else is in
/// the batch.
pub trait ChatModel: Send + Sync {
    /// The name of the model, as it is recorded beside what it wrote.
    fn name(&self) -> &str;

    /// Draws `request.samples` completions.
    ///
    /// # Errors
    ///
    /// When the model could not be asked, or its answer could not be understood; the models of this workspace also
    /// [check](crate::Sampling::check) how they are to draw.
    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>>;

    /// Completes many requests at once: one entry per request, in order.
    ///
    /// The default asks one after the other. A model in this process overrides it to compute the
    /// batch together, a client to send requests at the same time.
    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        requests
            .iter()
            .map(|request| self.complete(request))
            .collect()
    }
}

impl<M: ChatModel + ?Sized> ChatModel for &M {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        (**self).complete(request)
    }

    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        (**self).complete_batch(requests)
    }
}

impl<M: ChatModel + ?Sized> ChatModel for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        (**self).complete(request)
    }

    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        (**self).complete_batch(requests)
    }
}

impl<M: ChatModel + ?Sized> ChatModel for Arc<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        (**self).complete(request)
    }

    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        (**self).complete_batch(requests)
    }
}

/// A function as a model: for scripted actors in tests and for adapters of a few lines.
pub struct FnModel<F> {
    name: String,
    function: F,
}

impl<F> FnModel<F>
where
    F: Fn(&ChatRequest) -> Result<Vec<Completion>> + Send + Sync,
{
    /// A model that answers with what the function returns.
    pub fn new(name: impl Into<String>, function: F) -> Self {
        Self {
            name: name.into(),
            function,
        }
    }
}

impl<F> std::fmt::Debug for FnModel<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FnModel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<F> ChatModel for FnModel<F>
where
    F: Fn(&ChatRequest) -> Result<Vec<Completion>> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        request.sampling.check()?;
        let completions = (self.function)(request)?;
        if completions.len() == request.samples {
            return Ok(completions);
        }
        Err(Error::Local {
            model: self.name.clone(),
            message: format!(
                "returned {} completions where {} were asked for",
                completions.len(),
                request.samples
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn echo() -> FnModel<impl Fn(&ChatRequest) -> Result<Vec<Completion>> + Send + Sync> {
        FnModel::new("echo", |request: &ChatRequest| {
            Ok(vec![
                Completion::stopped(&request.messages[0].content);
                request.samples
            ])
        })
    }

    #[test]
    fn a_batch_answers_every_request_in_order() {
        let requests: Vec<_> = ["a", "b", "c"]
            .map(|text| ChatRequest::new([Message::user(text)]))
            .into();
        let boxed: Box<dyn ChatModel> = Box::new(echo());
        let answers: Vec<_> = boxed
            .complete_batch(&requests)
            .into_iter()
            .map(|answer| answer.unwrap()[0].text.clone())
            .collect();
        assert_eq!(answers, ["a", "b", "c"]);
    }

    #[test]
    fn a_function_that_returns_too_few_completions_is_an_error_that_names_the_model() {
        let model = FnModel::new("short", |_: &ChatRequest| Ok(vec![]));
        let error = model
            .complete(&ChatRequest::new([Message::user("?")]))
            .unwrap_err();
        assert!(error.to_string().contains("short"), "{error}");
    }
}
