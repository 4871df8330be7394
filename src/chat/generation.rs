//! `{% generation %}` blocks, which mark the assistant's words for training and change nothing in a prompt.

use std::borrow::Cow;

/// Turns the two tags into a block that is always rendered, with their white-space control as it is.
pub(super) fn tolerate(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let length = tag.find("%}").map_or(tag.len(), |end| end + 2);
        // A tag of another kind may hold strings with braces: go on right behind its opening.
        match replacement(tag.get(..length).unwrap_or(tag)) {
            Some(replaced) => {
                out.push_str(&replaced);
                rest = tag.get(length..).unwrap_or_default();
            }
            None => {
                out.push_str("{%");
                rest = tag.get(2..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

fn replacement(tag: &str) -> Option<Cow<'static, str>> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let name = inner.trim_matches(['-', '+']).trim();
    let statement = match name {
        "generation" => "if true",
        "endgeneration" => "endif",
        _ => return None,
    };
    let left = inner.get(..1).filter(|c| matches!(*c, "-" | "+")).unwrap_or_default();
    let right =
        inner.get(inner.len().saturating_sub(1)..).filter(|c| matches!(*c, "-" | "+")).unwrap_or_default();
    Some(Cow::Owned(format!("{{%{left} {statement} {right}%}}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_tags_change() {
        assert_eq!(
            tolerate("a{%- generation -%}b{% endgeneration %}c{% set generation = 1 %}"),
            "a{%- if true -%}b{% endif %}c{% set generation = 1 %}"
        );
        for same in ["", "{%", "{% %}", "{{ '{%' }}", "{%-%}", "{% if generation %}{% endif %}", "é{%é%}"] {
            assert_eq!(tolerate(same), same);
        }
    }
}
