//! What can be a name, an alias, a tag and a URI.

use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::registry::VersionSelector;

#[test]
fn names_have_three_parts() {
    for good in ["a.b.c", "main.default.llama-3_1", "Ä.日本.c d".replace(' ', "-").as_str(), "a.b.c@d"] {
        assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
    }
    let long = format!("a.b.{}", "x".repeat(256));
    for (bad, problem) in [
        ("", "1 parts"),
        ("model", "1 parts"),
        ("a.b", "2 parts"),
        ("a.b.c.d", "4 parts"),
        ("../../etc.b.c", "parts"),
        ("a..c", "empty"),
        (".b.c", "empty"),
        ("a.b.", "empty"),
        ("...", "4 parts"),
        ("a.b/c.d", "'/'"),
        ("a.b\\c.d", "'\\\\'"),
        ("a.b.c:d", "':'"),
        ("a.b.c d", "' '"),
        ("a.b.c\u{a0}d", "'\\u{a0}'"),
        ("a.b.c\nd", "'\\n'"),
        ("a.b.c\0", "'\\0'"),
        (&long, "too long"),
    ] {
        let error = bad.parse::<ModelName>().unwrap_err();
        assert_says(&error, &[problem, "catalog.schema.model"]);
        assert_eq!(Error::from(error).kind(), ErrorKind::InvalidRequest);
    }
    assert!(format!("a.b.{}", "é".repeat(255)).parse::<ModelName>().is_ok());
    assert!(serde_json::from_str::<ModelName>("\"a.b\"").is_err());
}

#[test]
fn uris_name_a_version_an_alias_or_the_latest() {
    use VersionSelector::{Alias, Latest, Number};
    for (text, name, version, shown) in [
        ("models:/a.b.c/3", "a.b.c", Number(3), "models:/a.b.c/3"),
        ("models:/a.b.c@champion", "a.b.c", Alias("champion".into()), "models:/a.b.c@champion"),
        ("models:/a.b.c@d@Größe_1-x", "a.b.c@d", Alias("Größe_1-x".into()), "models:/a.b.c@d@Größe_1-x"),
        ("models:/a.b.c@d/7", "a.b.c@d", Number(7), "models:/a.b.c@d/7"),
        ("models:/a.b.c/latest", "a.b.c", Latest, "models:/a.b.c/latest"),
        ("models:/a.b.c/LATEST", "a.b.c", Latest, "models:/a.b.c/latest"),
        ("models:/a.b.c@Latest", "a.b.c", Latest, "models:/a.b.c/latest"),
    ] {
        let uri: ModelUri = text.parse().unwrap();
        assert_eq!((uri.name.as_str(), &uri.version), (name, &version), "{text}");
        assert_eq!(uri.to_string(), shown);
        assert_eq!(serde_json::from_value::<ModelUri>(serde_json::to_value(&uri).unwrap()).unwrap(), uri);
    }
    for (text, problem) in [
        ("", "begin with models:/"),
        ("a.b.c/3", "begin with models:/"),
        ("runs:/1234/model", "begin with models:/"),
        ("models://registry/a.b.c/3", "another registry"),
        ("models:/a.b.c", "no version"),
        ("models:/m-0123abcd", "logged model"),
        ("models:/a.b.c/Production", "stages gave way"),
        ("models:/a.b.c/3/config.json", "path after"),
        ("models:/a.b.c/3@champion", "both a version and an alias"),
        ("models:/a.b.c/", "\"\" for a version"),
        ("models:/a.b.c/0", "\"0\" for a version"),
        ("models:/a.b.c/-1", "\"-1\" for a version"),
        ("models:/a.b.c/+1", "\"+1\" for a version"),
        ("models:/a.b.c/01", "\"01\" for a version"),
        ("models:/a.b.c/99999999999999999999", "for a version"),
        ("models:/a.b.c/champion", "\"champion\" for a version"),
        ("models:/a.b.c@", "alias"),
        ("models:/a.b.c@v3", "reads as a version"),
        ("models:/a.b/3", "2 parts"),
        ("models:/../../x/3", "path after"),
    ] {
        let error = text.parse::<ModelUri>().unwrap_err();
        assert_says(&error, &[problem, "accepted"]);
        assert_eq!(Error::from(error).kind(), ErrorKind::InvalidRequest, "{text}");
    }
}

#[test]
fn aliases_are_words_that_do_not_read_as_versions() {
    let bench = Bench::new();
    let name = bench.model("m");
    let id = bench.ready(&name, 1).id.clone();
    for good in ["a", "champion", "Größe_1-x", "v", "v1a", "1", "latest-1", &"x".repeat(255)] {
        bench.registry.set_alias(&id, good).unwrap();
    }
    for bad in ["", "a b", "a.b", "a/b", "a@b", "a:b", "latest", "Latest", "v1", "V22", &"x".repeat(256)] {
        let error = bench.registry.set_alias(&id, bad).unwrap_err();
        assert_says(&error, &["alias", "accepted"]);
        assert_eq!(Error::from(error).kind(), ErrorKind::InvalidRequest, "{bad}");
    }
    assert_eq!(bench.registry.model(&name).unwrap().aliases.len(), 8);
}

#[test]
fn tags_have_bounds() {
    let bench = Bench::new();
    let name = bench.model("m");
    let id = bench.ready(&name, 1).id.clone();
    let (key, value) = ("ä".repeat(250), "ß".repeat(100_000));
    bench.registry.set_model_tag(&name, &key, &value).unwrap();
    bench.registry.set_version_tag(&id, &key, &value).unwrap();
    bench.registry.set_version_tag(&id, &key, "").unwrap();
    assert_eq!(bench.registry.model(&name).unwrap().tags[&key], value);
    assert_eq!(bench.registry.version(&id).unwrap().tags[&key], "");
    for (key, value, problem) in [
        ("", "x", "0 characters"),
        (&*"k".repeat(251), "x", "251"),
        ("k\n", "x", "control"),
        ("k", &"v".repeat(100_001), "100001"),
    ] {
        assert_says(&bench.registry.set_model_tag(&name, key, value).unwrap_err(), &[problem, "accepted"]);
        assert_says(&bench.registry.set_version_tag(&id, key, value).unwrap_err(), &[problem, "accepted"]);
        let new = NewModel::default().tag(key, value);
        assert_says(&bench.registry.create_model(&super::name("n"), &new, "ann").unwrap_err(), &[problem]);
        let new = NewVersion::at("x").tag(key, value);
        assert_says(&bench.registry.begin_version(&name, &new, "ann").unwrap_err(), &[problem]);
    }
    assert!(bench.registry.delete_version_tag(&id, &key).unwrap());
    assert!(!bench.registry.delete_version_tag(&id, &key).unwrap());
    assert!(bench.registry.delete_model_tag(&name, &key).unwrap());
    assert!(bench.registry.model(&name).unwrap().tags.is_empty());
    assert_eq!(bench.registry.versions(&name).unwrap().len(), 1);
}

proptest! {
    /// Pieces of URIs in any order: one line of complaint, or a URI that reads as itself.
    #[test]
    fn any_text_is_a_uri_or_is_refused(
        beginning in prop::sample::select(vec!["", "models:/", "models:/a.b.c", "models:/a.b.c@", "models:/a.b.c/"]),
        pieces in prop::collection::vec(
            prop::sample::select(vec!["models:/", "/", "@", ".", ":", "a", "b.c", "latest", "v1", "7", "0", "-", " ", "\n", "é", ""]),
            0..6,
        ),
    ) {
        match format!("{beginning}{}", pieces.concat()).parse::<ModelUri>() {
            Ok(uri) => {
                let shown = uri.to_string();
                prop_assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control()), "{shown:?}");
                prop_assert_eq!(uri.name.as_str().split('.').count(), 3);
                prop_assert_eq!(shown.parse::<ModelUri>().unwrap(), uri);
            }
            Err(error) => assert_says(&error, &["accepted"]),
        }
    }
}
