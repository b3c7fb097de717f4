//! The 58 scenarios of AutoJ and their eight groups.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A group of scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Summaries of posts, texts and notes.
    Summarization,
    /// Exam questions, among them mathematics.
    ExamQuestions,
    /// Writing, explaining and mending code.
    Code,
    /// Changing a text.
    Rewriting,
    /// Songs, posts, essays, advertisements.
    CreativeWriting,
    /// Letters, articles, documents.
    FunctionalWriting,
    /// Questions, advice, chat.
    GeneralCommunication,
    /// Classification, extraction, translation and the like.
    NlpTasks,
}

impl Group {
    /// All, in the order of the published table.
    pub const ALL: [Self; 8] = [
        Self::Summarization,
        Self::ExamQuestions,
        Self::Code,
        Self::Rewriting,
        Self::CreativeWriting,
        Self::FunctionalWriting,
        Self::GeneralCommunication,
        Self::NlpTasks,
    ];

    /// The group of a scenario, by the name that it has in the data; `None` for a name that is not among them.
    pub fn of(scenario: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|group| group.scenarios().contains(&scenario))
    }

    /// The scenarios of the group.
    pub const fn scenarios(self) -> &'static [&'static str] {
        match self {
            Self::Summarization => &[
                "post_summarization",
                "text_summarization",
                "note_summarization",
            ],
            Self::ExamQuestions => &[
                "math_reasoning",
                "solving_exam_question_with_math",
                "solving_exam_question_without_math",
            ],
            Self::Code => &[
                "code_simplification",
                "code_generation",
                "explaining_code",
                "code_correction_rewriting",
                "code_to_code_translation",
            ],
            Self::Rewriting => &[
                "text_simplification",
                "language_polishing",
                "instructional_rewriting",
                "text_correction",
                "paraphrasing",
            ],
            Self::CreativeWriting => &[
                "writing_song_lyrics",
                "writing_social_media_post",
                "writing_blog_post",
                "writing_personal_essay",
                "creative_writing",
                "writing_advertisement",
                "writing_marketing_materials",
                "writing_presentation_script",
                "counterfactual",
            ],
            Self::FunctionalWriting => &[
                "writing_product_description",
                "writing_job_application",
                "writing_news_article",
                "writing_biography",
                "writing_email",
                "writing_legal_document",
                "writing_technical_document",
                "writing_scientific_paper",
                "functional_writing",
                "writing_cooking_recipe",
            ],
            Self::GeneralCommunication => &[
                "asking_how_to_question",
                "open_question",
                "analyzing_general",
                "explaining_general",
                "seeking_advice",
                "recommendation",
                "value_judgement",
                "verifying_fact",
                "chitchat",
                "roleplay",
                "planning",
                "brainstorming",
            ],
            Self::NlpTasks => &[
                "ranking",
                "text_to_text_translation",
                "data_analysis",
                "classification_identification",
                "title_generation",
                "question_generation",
                "reading_comprehension",
                "keywords_extraction",
                "information_extraction",
                "topic_modeling",
                "others",
            ],
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Summarization => "Summarization",
            Self::ExamQuestions => "Exam Questions",
            Self::Code => "Code",
            Self::Rewriting => "Rewriting",
            Self::CreativeWriting => "Creative Writing",
            Self::FunctionalWriting => "Functional Writing",
            Self::GeneralCommunication => "General Communication",
            Self::NlpTasks => "NLP Tasks",
        })
    }
}
