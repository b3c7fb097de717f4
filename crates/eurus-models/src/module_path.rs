//! Names of parameters as they are visited.

/// The name of the parameter that a visitor or a mapper of a burn module is at: the fields on the way to it, joined by dots,
/// which are the tensor names of Hugging Face's files. The variant of an enum, in snake case, takes the place of its field.
///
/// ```
/// use eurus_models::ModulePath;
///
/// let mut path = ModulePath::default();
/// path.enter("layer", "Struct:Layer");
/// path.enter("feed_forward", "Struct:Layer");
/// path.enter("BlockSparseMoe", "Enum:FeedForward");
/// path.enter("gate", "Struct:SparseMlp");
/// assert_eq!(path.name(), "layer.block_sparse_moe.gate");
/// path.exit();
/// path.exit();
/// assert_eq!(path.name(), "layer.feed_forward");
/// ```
#[derive(Debug, Clone, Default)]
pub struct ModulePath(Vec<Segment>);

#[derive(Debug, Clone)]
struct Segment {
    name: String,
    is_variant: bool,
}

impl ModulePath {
    /// For `enter_module` of a visitor or mapper, with its arguments.
    pub fn enter(&mut self, name: &str, container_type: &str) {
        let is_variant = container_type.starts_with("Enum:");
        let name = match is_variant {
            true => snake_case(name),
            false => name.to_owned(),
        };
        self.0.push(Segment { name, is_variant });
    }

    /// For `exit_module`.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The whole name.
    pub fn name(&self) -> String {
        let segments = self.0.iter().enumerate();
        let is_replaced = |index: usize| self.0.get(index + 1).is_some_and(|next| next.is_variant);
        let names: Vec<&str> = segments
            .filter(|(index, _)| !is_replaced(*index))
            .map(|(_, segment)| segment.name.as_str())
            .collect();
        names.join(".")
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
