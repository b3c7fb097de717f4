//! Models with adapters on their linear layers.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{LoraConfig, LowRankAdapter, SavedModule, generator};
use crate::decoder::{Body, Projection};
use crate::{Decoder, Error, ForestModel, Result, RewardHead, RewardModel};

/// A model whose linear layers can carry adapters.
pub trait Adapted: Module {
    /// Calls `visit` with the path and the layer of every linear layer of attention and MLP.
    fn for_each_linear(&mut self, visit: &mut dyn FnMut(&str, &mut Projection));

    /// Makes weights trainable that must be trained beside the adapters: the head of a reward model is new.
    fn unfreeze_head(self) -> Self {
        self
    }

    /// The head that is trained and saved beside the adapters, if the model has one.
    fn head(&self) -> Option<RewardHead> {
        None
    }

    /// The weight of that head, `[1, d]`.
    fn head_weight(&self) -> Option<Tensor<2>> {
        None
    }

    /// Replaces the weight of that head; does nothing without one.
    fn set_head(&mut self, _weight: Tensor<2>) {}

    /// The shape of that head's weight, `[1, d]`, which is known before it is loaded; `None` without one.
    fn head_shape(&self) -> Option<[usize; 2]> {
        None
    }

    /// The shape of a module that can be trained whole beside adapters, `[vocab, d]`; `None` if the model does not have it.
    fn saved_module_shape(&self, module: SavedModule) -> Option<[usize; 2]>;

    /// The weight of such a module, `[vocab, d]`. The output projection may be the embedding.
    fn saved_module(&self, module: SavedModule) -> Option<Tensor<2>>;

    /// Puts a weight in the place of such a module's, to be trained. A tied output projection is another matrix than the
    /// embedding from then on, and stays what it was if the embedding is replaced.
    fn set_saved_module(&mut self, module: SavedModule, weight: Tensor<2>);

    /// Freezes the model and puts fresh adapters on its linear layers. The update starts as zero. Modules to be trained whole
    /// beside them start as they are.
    ///
    /// # Errors
    ///
    /// When the configuration makes no sense or names a layer or a module that this model does not have.
    fn with_adapters(self, config: &LoraConfig, seed: u64) -> Result<Self> {
        let mut model = self.no_grad().unfreeze_head();
        let mut names = BTreeSet::new();
        model.for_each_linear(&mut |path, _| {
            names.extend(path.rsplit('.').next().map(str::to_owned));
        });
        config.check_for(&names.iter().map(String::as_str).collect())?;
        for &module in &config.modules_to_save {
            let Some(weight) = model.saved_module(module) else {
                return Err(Error::Adapter {
                    problem: format!("this model has no `{}` to be trained", module.name()),
                });
            };
            model.set_saved_module(module, weight);
        }
        let mut rng = generator(seed);
        model.for_each_linear(&mut |path, linear| {
            let name = path.rsplit('.').next().unwrap_or(path);
            if config.targets.iter().any(|target| target == name) {
                let weight = linear.weight.val();
                let adapter =
                    LowRankAdapter::fresh(config, weight.dims(), &mut rng, &weight.device());
                linear.adapter = Some(adapter);
            }
        });
        Ok(model)
    }

    /// The adapters by the paths of their layers.
    fn adapters(&self) -> BTreeMap<String, LowRankAdapter> {
        let mut adapters = BTreeMap::new();
        self.clone().for_each_linear(&mut |path, linear| {
            if let Some(adapter) = &linear.adapter {
                adapters.insert(path.to_owned(), adapter.clone());
            }
        });
        adapters
    }

    /// The same weights without adapters, which is the base unless modules were trained whole beside them. Nothing is
    /// copied.
    fn without_adapters(&self) -> Self {
        let mut model = self.clone();
        model.for_each_linear(&mut |_, linear| linear.adapter = None);
        model
    }

    /// A plain model with the updates added to its weights, all of them trainable again.
    fn merged(&self) -> Self {
        shifted(self.clone(), 1.0)
    }

    /// Takes the updates of these adapters out of merged weights: `policy.unmerged(&policy.merged())` has the base's
    /// weights up to rounding.
    fn unmerged(&self, merged: &Self) -> Self {
        let adapters = self.adapters();
        let mut model = merged.clone();
        model.for_each_linear(&mut |path, linear| linear.adapter = adapters.get(path).cloned());
        shifted(model, -1.0)
    }
}

/// The weights plus `factor` times the updates, without adapters.
fn shifted<M: Adapted>(mut model: M, factor: f64) -> M {
    model.for_each_linear(&mut |_, linear| {
        if let Some(adapter) = linear.adapter.take() {
            let weight = linear.weight.val() + adapter.weight_update() * factor;
            linear.weight = Param::initialized(linear.weight.id, weight.detach());
        }
    });
    model.map(&mut Trainable)
}

struct Trainable;

impl burn::module::ModuleMapper for Trainable {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.set_require_grad(true)
    }
}

fn for_each_linear_of_body(body: &mut Body, visit: &mut dyn FnMut(&str, &mut Projection)) {
    for (index, layer) in body.layers.iter_mut().enumerate() {
        let attention = &mut layer.self_attn;
        for (name, linear) in [
            ("q_proj", &mut attention.q_proj),
            ("k_proj", &mut attention.k_proj),
            ("v_proj", &mut attention.v_proj),
            ("o_proj", &mut attention.o_proj),
        ] {
            visit(&format!("model.layers.{index}.self_attn.{name}"), linear);
        }
        for (name, linear) in layer.feed_forward.linears() {
            visit(&format!("model.layers.{index}.{name}"), linear);
        }
    }
}

/// The shape of a matrix that may be empty yet.
fn shape_of(weight: &Param<Tensor<2>>) -> [usize; 2] {
    let shape = weight.lazy_shape();
    [shape[0], shape[1]]
}

fn trained(weight: &Param<Tensor<2>>, value: Tensor<2>) -> Param<Tensor<2>> {
    Param::initialized(weight.id, value.detach()).set_require_grad(true)
}

impl Adapted for Decoder {
    fn for_each_linear(&mut self, visit: &mut dyn FnMut(&str, &mut Projection)) {
        for_each_linear_of_body(&mut self.model, visit);
    }

    fn saved_module_shape(&self, _module: SavedModule) -> Option<[usize; 2]> {
        Some(shape_of(&self.model.embed_tokens.weight))
    }

    fn saved_module(&self, module: SavedModule) -> Option<Tensor<2>> {
        Some(match module {
            SavedModule::EmbedTokens => self.model.embed_tokens.weight.val(),
            SavedModule::LmHead => self.output_weight(),
        })
    }

    fn set_saved_module(&mut self, module: SavedModule, weight: Tensor<2>) {
        let embedding = &mut self.model.embed_tokens.weight;
        let head = self.lm_head.get_or_insert_with(|| {
            let tied = embedding.val().detach();
            let mut head = Projection::new(tied.dims()[1], tied.dims()[0], false, &tied.device());
            head.weight = Param::initialized(head.weight.id, tied).set_require_grad(false);
            head
        });
        match module {
            SavedModule::EmbedTokens => *embedding = trained(embedding, weight),
            SavedModule::LmHead => head.weight = trained(&head.weight, weight),
        }
    }
}

impl Adapted for RewardModel {
    fn for_each_linear(&mut self, visit: &mut dyn FnMut(&str, &mut Projection)) {
        for_each_linear_of_body(&mut self.model, visit);
    }

    fn unfreeze_head(mut self) -> Self {
        self.head = self.head.map(&mut Trainable);
        self
    }

    fn head(&self) -> Option<RewardHead> {
        Some(self.head.head())
    }

    fn head_weight(&self) -> Option<Tensor<2>> {
        Some(self.head.projection().weight.val())
    }

    fn head_shape(&self) -> Option<[usize; 2]> {
        Some([1, shape_of(&self.model.embed_tokens.weight)[1]])
    }

    fn saved_module_shape(&self, module: SavedModule) -> Option<[usize; 2]> {
        let embedding = || shape_of(&self.model.embed_tokens.weight);
        (module == SavedModule::EmbedTokens).then(embedding)
    }

    fn saved_module(&self, module: SavedModule) -> Option<Tensor<2>> {
        let embedding = || self.model.embed_tokens.weight.val();
        (module == SavedModule::EmbedTokens).then(embedding)
    }

    fn set_saved_module(&mut self, module: SavedModule, weight: Tensor<2>) {
        if module == SavedModule::EmbedTokens {
            let embedding = &mut self.model.embed_tokens.weight;
            *embedding = trained(embedding, weight);
        }
    }

    fn set_head(&mut self, weight: Tensor<2>) {
        let head = self.head.projection_mut();
        head.weight = Param::initialized(head.weight.id, weight).set_require_grad(true);
    }
}
