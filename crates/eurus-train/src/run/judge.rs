//! Evaluations during a run: which is the best, and whether one ends it.

use burn::module::Module;

use crate::evaluation::{Best, Evaluation};
use crate::events::Event;
use crate::snapshot::Judged;
use crate::{Ranks, Result, StopReason};

/// Judges the model when it is due, and remembers the best.
pub(super) struct Judge<'a, 'b, M> {
    pub evaluation: Option<&'a mut Evaluation<'b, M>>,
    pub judged: Judged,
    pub best_model: Option<M>,
    /// Whether the last judgement ends the run.
    pub stop: bool,
}

impl<M: Module> Judge<'_, '_, M> {
    /// Whether the model is judged after `step` of `steps` steps.
    pub fn is_due(&self, step: usize, steps: usize) -> bool {
        self.evaluation
            .as_ref()
            .is_some_and(|it| step.is_multiple_of(it.every_steps.max(1)) || step == steps)
    }

    /// Whether the best weights are kept.
    pub fn keeps_best(&self) -> bool {
        self.evaluation.as_ref().is_some_and(|it| it.keep_best)
    }

    /// Judges the model after `step` steps on the first rank. Returns whether it is the best so far and to be kept. A judge
    /// that fails costs nothing but the judgement, unless nothing is trained yet.
    pub fn judge(
        &mut self,
        model: &M,
        step: usize,
        ranks: &Ranks,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<bool> {
        let keep_best = self.keeps_best();
        let Some(evaluation) = &mut self.evaluation else {
            return Ok(false);
        };
        let plain = model.valid();
        let judgement = ranks.of_first(|| match (evaluation.judge)(&plain) {
            Err(error) if step == 0 => Err(error),
            judged => Ok(judged.map_err(|error| error.to_string())),
        })?;
        let judgement = match judgement {
            Ok(judgement) => judgement,
            Err(problem) => {
                on_event(&Event::NotEvaluated { step, problem });
                return Ok(false);
            }
        };
        let score = judgement.score;
        // What is not a number is not better than anything, and could not be read back from a snapshot.
        let best_score = self.judged.best.map(|best| best.score);
        let best = score.is_finite() && best_score.is_none_or(|best| score > best);
        if best {
            self.judged.best = Some(Best { step, score });
            self.judged.since_best = 0;
            self.best_model = keep_best.then_some(plain);
        } else {
            self.judged.since_best += 1;
        }
        self.stop = judgement.stop;
        on_event(&Event::Evaluated {
            step,
            judgement,
            best,
        });
        Ok(best && keep_best)
    }

    /// Whether the judgements so far end the run.
    pub fn stop_reason(&self) -> Option<StopReason> {
        let patience = self.evaluation.as_ref().and_then(|it| it.patience);
        if self.stop {
            Some(StopReason::Judge)
        } else if patience.is_some_and(|patience| self.judged.since_best >= patience.max(1)) {
            Some(StopReason::Patience)
        } else {
            None
        }
    }
}
