//! The trait, and a function as a model.

use std::ops::Deref;

use crate::{ChatRequest, Completion, Error, Result, TokenLogProb};

/// Something that completes a chat.
///
/// One completion per requested sample comes back, in a fixed order. A model that honors
/// [`Sampling::seed`](crate::Sampling::seed) answers equal requests equally, whatever else is in
/// the batch, and draws sample `i` of a request the same way however many are drawn.
///
/// [`name`](Self::name) and [`complete`](Self::complete) are all that a model must have. Whoever must lose nothing that
/// was paid for takes [`complete_each`](Self::complete_each), which hands over every sample as it arrives.
pub trait ChatModel: Send + Sync {
    /// The name of the model, as it is recorded beside what it wrote.
    fn name(&self) -> &str;

    /// All that decides, beside the request, what is answered: a store keys answers by this text, the request without
    /// its number of samples, and the index of the sample. No secret is in it. The default is the name.
    fn identity(&self) -> String {
        self.name().to_owned()
    }

    /// Whether the model does what not every model can. The default is that it cannot.
    fn can(&self, capability: Capability) -> bool {
        let _ = capability;
        false
    }

    /// Draws `request.samples` completions.
    ///
    /// # Errors
    ///
    /// When the model could not be asked, or its answer could not be understood; the models of this workspace also
    /// [check](ChatRequest::check) that the request can be asked of them.
    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>>;

    /// Draws the samples with these indices and hands each over, with its index, as soon as it is there, on the thread
    /// of the caller and in no fixed order. `request.samples` is not looked at, so that a caller can draw 0 to 4 first
    /// and 5 to 9 later.
    ///
    /// What was handed over before an error is paid for and good: the caller keeps it and asks later for the rest.
    ///
    /// The default draws all up to the highest index, and hands over those that are wanted.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete); samples that arrived have been handed over.
    fn complete_each(
        &self,
        request: &ChatRequest,
        wanted: &[usize],
        on_sample: &mut dyn FnMut(usize, Completion),
    ) -> Result<()> {
        let Some(last) = wanted.iter().max() else {
            return Ok(());
        };
        let all = self.complete(&request.clone().with_samples(last + 1))?;
        for (index, completion) in all.into_iter().enumerate() {
            if wanted.contains(&index) {
                on_sample(index, completion);
            }
        }
        Ok(())
    }

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

    /// Draws samples of many requests, those with the indices in `wanted`, and hands each over with the place of its
    /// request and its index, on the thread of the caller and in no fixed order: one entry per request tells how it ended.
    ///
    /// The default draws one request after the other. A model in this process overrides it to compute them together.
    fn complete_batch_each(
        &self,
        requests: &[ChatRequest],
        wanted: &[Vec<usize>],
        on_sample: &mut dyn FnMut(usize, usize, Completion),
    ) -> Vec<Result<()>> {
        let both = requests.iter().zip(wanted).enumerate();
        both.map(|(place, (request, wanted))| {
            self.complete_each(request, wanted, &mut |sample, completion| {
                on_sample(place, sample, completion);
            })
        })
        .collect()
    }

    /// Draws `request.samples` completions and hands over their text as it comes into being.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete). The default is an error that names the model: it cannot.
    fn stream(
        &self,
        request: &ChatRequest,
        on_piece: &mut dyn FnMut(Piece<'_>),
    ) -> Result<Vec<Completion>> {
        let _ = (request, on_piece);
        Err(Error::unsupported(self.name(), Capability::Streaming))
    }

    /// The log-probability of each token of a given answer to a request, whose samples and sampling are not looked at.
    /// With an [answer prefix](ChatRequest::answer_prefix) the completion is what follows the prefix.
    ///
    /// # Errors
    ///
    /// When the model could not be asked. The default is an error that names the model: it cannot.
    fn log_probs_of(&self, request: &ChatRequest, completion: &str) -> Result<Vec<TokenLogProb>> {
        let _ = (request, completion);
        Err(Error::unsupported(self.name(), Capability::Scoring))
    }
}

/// What not every model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Go on from a [prompt without template](ChatRequest::raw_prompt).
    RawPrompt,
    /// Go on with an [answer that the caller begins](ChatRequest::answer_prefix).
    AnswerPrefix,
    /// Give [log-probabilities](ChatRequest::logprobs) of what was drawn.
    LogProbs,
    /// Hand over text [as it comes into being](ChatModel::stream).
    Streaming,
    /// Give [log-probabilities of a given answer](ChatModel::log_probs_of).
    Scoring,
}

impl std::fmt::Display for Capability {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::RawPrompt => "go on from a raw prompt (without chat template)",
            Self::AnswerPrefix => "go on with an answer that the caller begins",
            Self::LogProbs => "give log-probabilities of what it draws",
            Self::Streaming => "stream",
            Self::Scoring => "give the log-probability of a given completion",
        })
    }
}

/// What happens to the text of a sample while it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More text of a sample.
    Text {
        /// The index of the sample.
        sample: usize,
        /// The text, to be put behind what came before.
        text: &'a str,
    },
    /// The attempt to draw the sample broke off and is made again: what was handed over of it is void.
    Restarted {
        /// The index of the sample.
        sample: usize,
    },
}

/// What points at a model is a model: `&M`, `Box<M>`, `Arc<M>`.
impl<P> ChatModel for P
where
    P: Deref + Send + Sync,
    P::Target: ChatModel,
{
    fn name(&self) -> &str {
        (**self).name()
    }

    fn identity(&self) -> String {
        (**self).identity()
    }

    fn can(&self, capability: Capability) -> bool {
        (**self).can(capability)
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        (**self).complete(request)
    }

    fn complete_each(
        &self,
        request: &ChatRequest,
        wanted: &[usize],
        on_sample: &mut dyn FnMut(usize, Completion),
    ) -> Result<()> {
        (**self).complete_each(request, wanted, on_sample)
    }

    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<Result<Vec<Completion>>> {
        (**self).complete_batch(requests)
    }

    fn complete_batch_each(
        &self,
        requests: &[ChatRequest],
        wanted: &[Vec<usize>],
        on_sample: &mut dyn FnMut(usize, usize, Completion),
    ) -> Vec<Result<()>> {
        (**self).complete_batch_each(requests, wanted, on_sample)
    }

    fn stream(
        &self,
        request: &ChatRequest,
        on_piece: &mut dyn FnMut(Piece<'_>),
    ) -> Result<Vec<Completion>> {
        (**self).stream(request, on_piece)
    }

    fn log_probs_of(&self, request: &ChatRequest, completion: &str) -> Result<Vec<TokenLogProb>> {
        (**self).log_probs_of(request, completion)
    }
}

/// A function as a model: for scripted actors in tests and for adapters of a few lines.
pub struct FnModel<F> {
    name: String,
    capabilities: Vec<Capability>,
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
            capabilities: Vec::new(),
            function,
        }
    }

    /// Says what the function heeds in a request beside messages; a request that needs more is refused.
    pub fn with_capabilities(mut self, capabilities: &[Capability]) -> Self {
        self.capabilities = capabilities.to_vec();
        self
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

    fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>> {
        request.check(self)?;
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

    #[test]
    fn the_samples_that_are_wanted_are_handed_over_with_their_index() {
        let counting = FnModel::new("counting", |request: &ChatRequest| {
            let texts = (0..request.samples).map(|index| Completion::stopped(index.to_string()));
            Ok(texts.collect())
        });
        let mut got = Vec::new();
        let request = ChatRequest::new([Message::user("?")]);
        counting
            .complete_each(&request, &[4, 1], &mut |index, completion| {
                got.push((index, completion.text));
            })
            .unwrap();
        assert_eq!(got, [(1, "1".to_owned()), (4, "4".to_owned())]);
    }
}
