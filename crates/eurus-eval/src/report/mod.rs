//! A report of one run as a single HTML file: text, tables, charts and preference trees.
//!
//! The page loads nothing and runs nothing but what a [`Block`] brings: styles are inside, charts are inline SVG with a title
//! and a description, and a content security policy that names styles and scripts by their hashes forbids the rest. Everything
//! that is put into it is plain text and is escaped, but for blocks. It follows the reader's light or dark preference, fits a
//! phone and prints.

mod answers;
mod axis;
mod block;
mod chart;
mod dots;
mod figure;
mod markup;
mod picture;
mod points;
mod policy;
mod steps;
mod tree;

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use ultrainteract::PreferenceTree;

use crate::error::{Error, Result};
use crate::table::Table;
pub use answers::Answer;
pub use block::Block;
pub use dots::{Dot, DotPlot};
pub use figure::{Figure, Mark, Panel, RewardPoint, Scales, Series};
pub use steps::{PromptSamples, StepSample};

use answers::AnswersView;
use block::Extras;
use chart::FigureView;
use dots::DotPlotView;
use steps::SamplesView;
use tree::TreeView;

/// The style of a page, for pages that have more on them: colours and fonts are custom properties of the root.
pub const STYLE: &str = concat!(
    include_str!("templates/charts.css"),
    include_str!("templates/style.css")
);
const TEMPLATES: [(&str, &str); 9] = [
    ("answers.html", include_str!("templates/answers.html")),
    ("dots.html", include_str!("templates/dots.html")),
    ("samples.html", include_str!("templates/samples.html")),
    ("panel.svg", include_str!("templates/panel.svg")),
    ("picture.svg", include_str!("templates/picture.svg")),
    ("page.html", include_str!("templates/page.html")),
    ("table.html", include_str!("templates/table.html")),
    ("figure.html", include_str!("templates/figure.html")),
    ("tree.html", include_str!("templates/tree.html")),
];

/// Columns that a table as wide as the text has room for.
const TEXT_COLUMNS: usize = 6;

/// A page that grows part by part, in reading order.
///
/// ```
/// use eurus_eval::Table;
/// use eurus_eval::report::{Figure, Report, RewardPoint};
///
/// let points = vec![
///     RewardPoint { step: 0, chosen: 0.0, rejected: 0.0 },
///     RewardPoint { step: 1, chosen: 0.3, rejected: -0.2 },
/// ];
/// let mut report = Report::new("Preference learning on word problems");
/// report
///     .paragraph("Three algorithms from one SFT checkpoint.")
///     .section("Rewards")
///     .figure(Figure::reward_trajectories("Rewards on the training pairs.", [("DPO", points)]))
///     .table(Table::new("Held-out pass@1").headers(["Model", "pass@1"]).row(["SFT", "41.5 %"]));
/// let html = report.to_html().unwrap();
/// assert!(html.contains("<svg") && html.contains("41.5 %"));
/// ```
pub struct Report {
    title: String,
    parts: Vec<Part>,
    counts: Counts,
    extras: Extras,
}

/// The context of the page's template.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    policy: String,
    style: &'a str,
    /// That follows a run.
    script: Option<&'static str>,
    sections: Vec<Link<'a>>,
    parts: &'a [Part],
}

/// A line of the list of sections.
#[derive(Serialize)]
struct Link<'a> {
    id: &'a str,
    title: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Part {
    Paragraph { text: String },
    Section { id: String, title: String },
    Table(TableView),
    Figure(FigureView),
    Tree(TreeView),
    Answers(AnswersView),
    Dots(DotPlotView),
    Samples(SamplesView),
    Block(Block),
}

#[derive(Debug, Default)]
struct Counts {
    sections: usize,
    tables: usize,
    figures: usize,
    trees: usize,
    answers: usize,
    samples: usize,
}

#[derive(Debug, Serialize)]
struct TableView {
    number: usize,
    /// Takes more than the width of the text.
    wide: bool,
    caption: String,
    headers: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    numeric: bool,
}

impl Report {
    /// An empty page.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            parts: Vec::new(),
            counts: Counts::default(),
            extras: Extras::default(),
        }
    }

    /// Adds a paragraph of plain text; line breaks are kept.
    pub fn paragraph(&mut self, text: impl Into<String>) -> &mut Self {
        self.add(Part::Paragraph { text: text.into() })
    }

    /// Starts a section. A page with several sections lists them at its top.
    pub fn section(&mut self, title: impl Into<String>) -> &mut Self {
        self.counts.sections += 1;
        let id = format!("section-{}", self.counts.sections);
        self.add(Part::Section {
            id,
            title: title.into(),
        })
    }

    /// Adds a table and numbers it.
    pub fn table(&mut self, table: Table) -> &mut Self {
        self.counts.tables += 1;
        let view = TableView::new(table, self.counts.tables);
        self.add(Part::Table(view))
    }

    /// Adds a row of charts and numbers it.
    pub fn figure(&mut self, figure: Figure) -> &mut Self {
        self.counts.figures += 1;
        let view = FigureView::new(&figure, self.counts.figures);
        self.add(Part::Figure(view))
    }

    /// Draws a preference tree: the instruction on top, the actions of a turn side by side, below
    /// an expanded action its observation and critique, then the next turn.
    pub fn tree(&mut self, tree: &PreferenceTree) -> &mut Self {
        self.counts.trees += 1;
        let view = TreeView::new(tree, self.counts.trees);
        self.add(Part::Tree(view))
    }

    /// Lists answers that open at a click and can be filtered by kind, in the order of the first of each kind.
    pub fn answers(&mut self, caption: impl Into<String>, answers: Vec<Answer>) -> &mut Self {
        self.counts.answers += 1;
        let view = AnswersView::new(caption.into(), answers, self.counts.answers);
        self.add(Part::Answers(view))
    }

    /// Draws estimates as dots with whiskers, and numbers the figure.
    pub fn dots(&mut self, plot: DotPlot) -> &mut Self {
        self.counts.figures += 1;
        let view = DotPlotView::new(&plot, self.counts.figures);
        self.add(Part::Dots(view))
    }

    /// Lists what a model wrote to each prompt, step by step of its training; each prompt opens at a click.
    pub fn samples(
        &mut self,
        caption: impl Into<String>,
        prompts: Vec<PromptSamples>,
    ) -> &mut Self {
        self.counts.samples += 1;
        let view = SamplesView::new(caption.into(), prompts);
        self.add(Part::Samples(view))
    }

    /// Adds markup of another crate as it is, with the style and the script that it needs.
    pub fn block(&mut self, block: Block) -> &mut Self {
        self.extras.add(&block);
        self.add(Part::Block(block))
    }

    /// The page as text.
    ///
    /// # Errors
    ///
    /// [`Error::Template`], which would be a fault of this crate.
    pub fn to_html(&self) -> Result<String> {
        self.render(&self.extras)
    }

    /// As [`to_html`](Self::to_html), with a script that may ask the page's own server for a newer one, and does; without
    /// scripts the page loads itself again every two seconds.
    ///
    /// # Errors
    ///
    /// As [`to_html`](Self::to_html).
    pub fn to_live_html(&self, script: &'static str) -> Result<String> {
        self.render(&self.extras.following(script))
    }

    fn render(&self, extras: &Extras) -> Result<String> {
        let links = self.parts.iter().filter_map(|part| match part {
            Part::Section { id, title } => Some(Link { id, title }),
            Part::Block(Block { id, title, .. }) => Some(Link { id, title }),
            _ => None,
        });
        let sections = links.filter(|link| !link.id.is_empty()).collect();
        let trees = self.parts.iter().filter_map(|part| match part {
            Part::Tree(tree) => Some(tree),
            _ => None,
        });
        let mut style = format!("{STYLE}{}", TreeView::rules(trees));
        style.extend(extras.styles.iter().copied());
        let page = Page {
            title: &self.title,
            policy: policy::of(&style, &extras.scripts, extras.follows.is_some()),
            style: &style,
            script: extras.follows,
            sections,
            parts: &self.parts,
        };
        rendered("page.html", page)
    }

    /// Writes the page, all or nothing: to a temporary file in the same folder, which then takes
    /// the name.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] if the folder does not exist or is not writable.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let html = self.to_html()?;
        write_atomically(path, html.as_bytes()).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
    }

    fn add(&mut self, part: Part) -> &mut Self {
        self.parts.push(part);
        self
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            title,
            parts,
            counts,
            extras: _,
        } = self;
        f.debug_struct("Report")
            .field("title", title)
            .field("parts", &parts.len())
            .field("counts", counts)
            .finish()
    }
}

impl TableView {
    fn new(table: Table, number: usize) -> Self {
        let cells = |row: &[String]| -> Vec<Cell> {
            let texts = table.padded(row).into_iter().enumerate();
            texts
                .map(|(column, text)| Cell {
                    text: text.to_owned(),
                    numeric: table.is_numeric(column),
                })
                .collect()
        };
        Self {
            number,
            wide: table.width() > TEXT_COLUMNS,
            headers: if table.headers.is_empty() {
                Vec::new()
            } else {
                cells(&table.headers)
            },
            rows: table.rows.iter().map(|row| cells(row)).collect(),
            caption: table.caption,
            notes: table.notes,
        }
    }
}

/// A template with its context. All escape what they are given: their names say which way.
fn rendered(template: &str, context: impl Serialize) -> Result<String> {
    let mut environment = Environment::new();
    // Pictures are XML, and what is escaped for HTML is escaped for it.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    let context = Value::from(Serde(context));
    Ok(environment.get_template(template)?.render(context)?)
}

pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".report-");
    // Temporary files are private by default; a report is as readable as any file of the user.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
