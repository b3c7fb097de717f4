//! Steps of AdamW on one batch: burn's optimizer with this project's gradients, and the trainers' own steps.

use anyhow::{Context, Result, ensure};
use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use eurus_models::{Decoder, RewardModel};
use eurus_tests::parameters::{global_norm, gradients, parameters};
use eurus_tests::report::Report;
use eurus_train::{Decay, RewardTrainer, SftTrainer, StepProgress, TrainingConfig, WeightDecayOn};
use token_forest::{Group, TokenTree, TrainingTree};

use super::language_model::negative_log_prob;
use super::reward_model::{bradley_terry, pair_loss, ultra_interact};
use super::rows::{Row, pair_rows};
use super::schema::Train;
use super::subject::Subject;

/// What a run reports: the loss before each step and the gradient norm of each.
struct Run<M> {
    losses: Vec<f64>,
    norms: Vec<f64>,
    model: M,
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients
                .register::<D>(param.id, gradient * self.factor);
        }
    }
}

/// Takes one step per learning rate.
fn train<M: Module>(
    mut model: M,
    settings: &Train,
    loss_of: impl Fn(&M) -> Result<Tensor<1>>,
) -> Result<Run<M>> {
    let [beta_1, beta_2] = settings.betas;
    let config = AdamWConfig::new()
        .with_beta_1(beta_1)
        .with_beta_2(beta_2)
        .with_epsilon(settings.eps)
        .with_weight_decay(settings.weight_decay);
    let mut optimizer = config.init();
    if settings.no_decay_norms {
        let norms: Vec<String> = parameters(&model)
            .into_keys()
            .filter(|name| name.ends_with("norm.weight"))
            .collect();
        let without_decay = config.with_weight_decay(0.0).build();
        optimizer = optimizer.with_group(ParamGroup::from_paths(norms), without_decay, None);
    }
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for &learning_rate in &settings.lr {
        let loss = loss_of(&model)?;
        losses.push(f64::from(loss.clone().into_scalar::<f32>()));
        let found = loss.backward();
        let norm = global_norm(&gradients(&model, &found));
        norms.push(norm);
        let mut found = GradientsParams::from_grads(found, &model);
        if let Some(most) = settings.max_grad_norm {
            let factor = (most / (norm + 1e-6)).min(1.0);
            model.visit(&mut Scale {
                gradients: &mut found,
                factor,
            });
        }
        model = optimizer.step(learning_rate, model, found);
    }
    losses.push(f64::from(loss_of(&model)?.into_scalar::<f32>()));
    Ok(Run {
        losses,
        norms,
        model,
    })
}

fn check_run<M: Module>(
    subject: &Subject,
    settings: &Train,
    run: &Run<M>,
    report: &mut Report,
) -> Result<()> {
    let tolerance = &subject.expected.tolerance;
    let check = |what: &str| format!("AdamW: {what}");
    let limit = tolerance.of("loss_abs")?;
    let losses = run.losses.iter().copied();
    report.all_close(
        &check("losses"),
        &settings.id,
        losses,
        &settings.losses_f64,
        limit,
    );
    let limit = tolerance.of("grad_norm_rel")?;
    for (step, (got, expected)) in run
        .norms
        .iter()
        .zip(&settings.grad_norms_per_step_f64)
        .enumerate()
    {
        let error = (got - expected).abs() / expected;
        let place = format!(
            "{} step {step}: got {got}, expected {expected}",
            settings.id
        );
        report.error(&check("gradient norms"), place, error, limit);
    }
    let after = parameters(&run.model);
    let limit = tolerance.of("param_norm_rel_after_training")?;
    for (name, expected) in &settings.param_norms_after_f64 {
        let got = after.get(name).map_or(f64::NAN, |values| values.norm());
        let place = format!("{} {name}: got {got}, expected {expected}", settings.id);
        let error = (got - expected).abs() / expected;
        report.error(&check("parameter norms"), place, error, limit);
    }
    for (name, places) in &settings.param_probe_at {
        let expected = settings
            .param_probes_after_f64
            .get(name)
            .context("probes without values")?;
        for (at, &expected) in places.iter().zip(expected) {
            let got = after
                .get(name)
                .and_then(|values| values.at(at))
                .unwrap_or(f64::NAN);
            let place = format!("{} {name} {at:?}", settings.id);
            let limit = tolerance.of("param_probe_abs_after_training")?;
            report.close(&check("parameter probes"), place, got, expected, limit);
        }
    }
    Ok(())
}

/// The run with the learning rate of its first step, which the trainers take as it is.
fn at_one_rate(settings: &Train, learning_rate: f64) -> Train {
    Train {
        id: settings.id.clone(),
        loss_formula: settings.loss_formula.clone(),
        lr: vec![learning_rate; 3],
        betas: settings.betas,
        eps: settings.eps,
        weight_decay: settings.weight_decay,
        max_grad_norm: settings.max_grad_norm,
        no_decay_norms: settings.no_decay_norms,
        losses_f64: Vec::new(),
        grad_norms_per_step_f64: Vec::new(),
        param_norms_after_f64: Default::default(),
        param_probe_at: Default::default(),
        param_probes_after_f64: Default::default(),
    }
}

/// One step per epoch, and forests as small as they can be, so that gradients are summed over several.
fn optimization(settings: &Train, trees: &[&TokenTree]) -> TrainingConfig {
    let longest = trees
        .iter()
        .map(|tree| tree.longest_path_tokens())
        .max()
        .unwrap_or(1);
    let largest = trees
        .iter()
        .map(|tree| tree.unique_tokens())
        .max()
        .unwrap_or(1);
    TrainingConfig {
        learning_rate: settings.lr[0],
        decay: Decay::Constant,
        warmup_ratio: 0.0,
        beta_1: settings.betas[0],
        beta_2: settings.betas[1],
        epsilon: settings.eps,
        weight_decay: settings.weight_decay,
        // Without biases, matrices are all but norms; no case has both.
        weight_decay_on: match settings.no_decay_norms {
            true => WeightDecayOn::Matrices,
            false => WeightDecayOn::All,
        },
        max_grad_norm: settings.max_grad_norm.unwrap_or(0.0),
        epochs: settings.lr.len(),
        trees_per_step: trees.len(),
        token_budget: longest.max(largest),
        ..TrainingConfig::default()
    }
}

/// The trainer's first loss and gradient norm against the reference, its later ones against the loop above.
fn check_trainer<M>(
    subject: &Subject,
    golden: &Train,
    by_hand: &Run<M>,
    steps: &[StepProgress],
    report: &mut Report,
) -> Result<()> {
    let tolerance = &subject.expected.tolerance;
    let (loss_limit, norm_limit) = (tolerance.of("loss_abs")?, tolerance.of("grad_norm_rel")?);
    report.same(
        "trainer: steps",
        &golden.id,
        &steps.len(),
        &by_hand.norms.len(),
    );
    let first = steps.first().context("the trainer reported no step")?;
    let golden_norm = golden.grad_norms_per_step_f64[0];
    report.close(
        "trainer: first loss",
        &golden.id,
        first.loss,
        golden.losses_f64[0],
        loss_limit,
    );
    let error = (first.grad_norm - golden_norm).abs() / golden_norm;
    report.error(
        "trainer: first gradient norm",
        &golden.id,
        error,
        norm_limit,
    );
    let is_steady = golden.lr.iter().all(|&rate| rate == golden.lr[0]);
    for (index, step) in steps.iter().enumerate() {
        let place = format!("{} step {index}", golden.id);
        report.close(
            "trainer: all losses",
            &place,
            step.loss,
            by_hand.losses[index],
            loss_limit,
        );
        if is_steady {
            let expected = golden.losses_f64[index];
            let check = "trainer: losses of the reference";
            report.close(check, &place, step.loss, expected, loss_limit);
        }
        let error = (step.grad_norm - by_hand.norms[index]).abs() / by_hand.norms[index];
        report.error("trainer: all gradient norms", place, error, norm_limit);
    }
    Ok(())
}

/// The case that a loss formula names.
fn batch_of<'a>(subject: &'a Subject, settings: &Train) -> Result<&'a str> {
    let mut ids = subject.expected.cases.iter().map(|case| case.id.as_str());
    let id = ids.find(|id| settings.loss_formula.contains(id));
    id.with_context(|| format!("training run {}: the formula names no case", settings.id))
}

/// Steps on an adapter's tensors alone.
pub fn check_adapter(
    subject: &Subject,
    settings: &Train,
    model: &Decoder,
    report: &mut Report,
) -> Result<()> {
    let device = Device::flex().autodiff();
    let rows = subject.rows_of(batch_of(subject, settings)?)?;
    let counted: usize = rows.iter().map(Row::counted_tokens).sum();
    let loss_of = |model: &Decoder| Ok(negative_log_prob(model, &rows, &device)? / counted as f64);
    let run = train(model.clone(), settings, loss_of)?;
    check_run(subject, settings, &run, report)
}

pub fn check_language_model(subject: &Subject, model: &Decoder, report: &mut Report) -> Result<()> {
    let device = Device::flex().autodiff();
    for settings in &subject.expected.train {
        let rows = subject.rows_of(batch_of(subject, settings)?)?;
        let counted: usize = rows.iter().map(Row::counted_tokens).sum();
        let loss_of =
            |model: &Decoder| Ok(negative_log_prob(model, &rows, &device)? / counted as f64);
        let run = train(model.clone().train(), settings, loss_of)?;
        check_run(subject, settings, &run, report)?;

        let steady = at_one_rate(settings, settings.lr[0]);
        let by_hand = train(model.clone().train(), &steady, loss_of)?;
        let trees: Vec<TrainingTree> = rows
            .iter()
            .enumerate()
            .map(|(row, tokens)| TrainingTree::imitated(format!("row {row}"), &tokens.tree()))
            .collect::<Result<_, _>>()?;
        let members: Vec<&TokenTree> = trees.iter().map(TrainingTree::tree).collect();
        let trainer = SftTrainer::new(optimization(&steady, &members))?;
        let mut steps = Vec::new();
        trainer.train(model.clone(), &trees, &mut |event| {
            steps.extend(event.progress().cloned());
        })?;
        check_trainer(subject, settings, &by_hand, &steps, report)?;
    }
    Ok(())
}

pub fn check_reward_model(
    subject: &Subject,
    model: &RewardModel,
    report: &mut Report,
) -> Result<()> {
    for settings in &subject.expected.train {
        let pairs = subject
            .expected
            .pairs
            .as_ref()
            .context("training without pairs")?;
        let rows = pair_rows(pairs);
        let direct = settings.loss_formula.contains("- logsigmoid(rc) ");
        let loss = if direct {
            ultra_interact()
        } else {
            bradley_terry()
        };
        let loss_of = |model: &RewardModel| pair_loss(model, &rows, &loss.init()?);
        let run = train(model.clone().train(), settings, loss_of)?;
        check_run(subject, settings, &run, report)?;

        let steady = at_one_rate(settings, settings.lr[0]);
        let by_hand = train(model.clone().train(), &steady, loss_of)?;
        let trees = paired_trees(&rows)?;
        let members: Vec<&TokenTree> = trees.iter().map(TrainingTree::tree).collect();
        let trainer = RewardTrainer::new(optimization(&steady, &members), &loss)?;
        let mut steps = Vec::new();
        trainer.train(model.clone(), &trees, &mut |event| {
            steps.extend(event.progress().cloned());
        })?;
        check_trainer(subject, settings, &by_hand, &steps, report)?;
    }
    Ok(())
}

/// Each pair as a tree whose root is what the two rows share.
fn paired_trees(rows: &[Row]) -> Result<Vec<TrainingTree>> {
    rows.chunks(2)
        .enumerate()
        .map(|(pair, rows)| {
            let [chosen, rejected] = rows else {
                anyhow::bail!("pair {pair} has one row");
            };
            let (chosen, rejected) = (&chosen.tokens, &rejected.tokens);
            let most = chosen.len().min(rejected.len()) - 1;
            let both = chosen.iter().zip(rejected).take(most);
            let shared = both.take_while(|(a, b)| a == b).count();
            ensure!(shared > 0, "the rows of pair {pair} share no first token");
            let mut tree = TokenTree::new(chosen[..shared].to_vec(), false);
            let [chosen, rejected] =
                [chosen, rejected].map(|row| tree.push(0, row[shared..].to_vec(), true));
            let group = Group::pair(chosen, rejected);
            Ok(TrainingTree::new(
                format!("pair {pair}"),
                &tree,
                vec![group],
            )?)
        })
        .collect()
}
