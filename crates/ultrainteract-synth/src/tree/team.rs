//! Who acts: the models of a construction and their parts.

use std::fmt;

use chat_model::ChatModel;

/// The models that write actions, each with its part (arXiv 2404.02078, section 2.3 and appendix A.2). The critic is not one
/// of them: it is a [`Critic`](crate::Critic).
#[derive(Clone)]
pub struct Team<'a> {
    /// Draws the actions of every turn.
    pub actor: &'a dyn ChatModel,
    /// Asked one after the other, the strongest last, at turns for which the actor found nothing correct. The same model may
    /// stand here more than once. Default none.
    pub stronger: Vec<&'a dyn ChatModel>,
    /// One of them, drawn for each turn, is asked for an incorrect action where all of the actor's are correct. Default none.
    pub incorrect: Vec<&'a dyn ChatModel>,
    /// Works an annotated solution into an action. Default none: the solution itself stands in.
    pub teacher: Option<&'a dyn ChatModel>,
    /// Problems that it solves at the first try get no tree. Default none: every problem gets one.
    pub selector: Option<&'a dyn ChatModel>,
}

impl<'a> Team<'a> {
    /// An actor alone.
    pub fn new(actor: &'a dyn ChatModel) -> Self {
        Self {
            actor,
            stronger: Vec::new(),
            incorrect: Vec::new(),
            teacher: None,
            selector: None,
        }
    }
}

impl fmt::Debug for Team<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |models: &[&dyn ChatModel]| -> Vec<String> {
            models.iter().map(|model| model.name().to_owned()).collect()
        };
        formatter
            .debug_struct("Team")
            .field("actor", &self.actor.name())
            .field("stronger", &names(&self.stronger))
            .field("incorrect", &names(&self.incorrect))
            .field("teacher", &self.teacher.map(ChatModel::name))
            .field("selector", &self.selector.map(ChatModel::name))
            .finish()
    }
}
