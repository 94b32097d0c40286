//! What is no prompt, with its line, and every limit reached.

use super::*;

#[track_caller]
fn check_refused(text: &str, line: usize, part: &str) {
    let errors = PromptSet::default().update(vec![file("x.md", text)]);
    let [error] = &errors[..] else {
        panic!("{text:?} is refused once: {errors:?}")
    };
    assert!(error.problem.to_string().contains(part), "{error}");
    assert_eq!((error.file.as_str(), error.line), ("x.md", line), "{error}");
}

#[test]
fn mistakes_have_their_line_and_say_what_to_do() {
    check_refused("+++\nname = 'a'\n", 1, "put a line `+++` behind it");
    check_refused("---\nname: a\n---\nx", 1, "TOML between two lines `+++`");
    check_refused("+++\n\nnmae = 'a'\n+++\nx", 3, "unknown field `nmae`");
    check_refused("+++\nname = = 1\n+++\nx", 2, "");
    check_refused(
        "+++\nkind = 'user'\n+++\nx",
        2,
        "expected `system` or `rag`",
    );
    check_refused(
        "+++\n\nname = 'a b'\n+++\nx",
        3,
        "`a b` is no name for a prompt",
    );
    check_refused(
        "+++\nfor = [\n'a',\n'params',\n]\n+++\nx",
        4,
        "`params` is no condition",
    );
    check_refused(
        "+++\n[variables]\n'1a' = ''\n+++\nx",
        3,
        "no name for a variable",
    );
    check_refused(
        "+++\n[variables]\nmodel = ''\n+++\nx",
        3,
        "no name for a variable",
    );
    check_refused("+++\n[variables]\na = 1\n+++\nx", 3, "expected a string");
    check_refused(
        "+++\nkind = 'rag'\n[[examples]]\nuser = 'q'\nassistant = 'a'\n+++\nx",
        3,
        "kind",
    );
    check_refused("+++\n\n[when]\nmatches = '('\n+++\nx", 3, "unclosed group");
    check_refused(
        "+++\n[when]\nthreshold = 2.0\n+++\nx",
        2,
        "between -1 and 1",
    );
    check_refused("+++\nmade_by = 'a b'\n+++\nx", 2, "no name of a plugin");
    check_refused(
        "+++\nkind = 'rag'\nmade_by = 'a'\n+++\nx",
        3,
        "prompt of kind \"system\"",
    );
    check_refused("+++\n+++\n\n \n", 3, "there is no text");
    check_refused("", 1, "there is no text");
    check_refused(
        "+++\nname = 'a'\n+++\n\nfine\n{{ tone }}",
        6,
        "give it a default under [variables]",
    );
    check_refused("+++\n+++\nfine\n{% endif %}", 4, "no template that works");
    let bytes = [b"fine\n".as_slice(), &[0xff]].concat();
    let errors = PromptSet::default().update(vec![PromptFile {
        name: "x.md".to_owned(),
        bytes,
    }]);
    assert_eq!(
        errors[0].to_string(),
        "x.md:2: the file is not UTF-8 text; save it as such"
    );
}

#[test]
fn what_is_too_much_is_refused_and_the_most_is_not() {
    let check = |text: String, over: String, line, part| {
        set(&[("x.md", &text)]);
        check_refused(&over, line, part);
    };
    let long = "x".repeat(PROMPT_BYTES_MAX);
    check(long.clone(), long + "x", 1, "more than 65536 bytes");
    let named = |bytes| format!("+++\nname = '{}'\n+++\nx", "n".repeat(bytes));
    check(
        named(PROMPT_NAME_BYTES_MAX),
        named(PROMPT_NAME_BYTES_MAX + 1),
        2,
        "no name",
    );
    let described = |bytes| format!("+++\ndescription = '{}'\n+++\nx", "d".repeat(bytes));
    let most = DESCRIPTION_BYTES_MAX;
    check(
        described(most),
        described(most + 1),
        2,
        "more than 512 bytes",
    );
    let variables = |count: usize| {
        let lines: String = (0..count)
            .map(|number| format!("v{number:02} = ''\n"))
            .collect();
        format!("+++\n[variables]\n{lines}+++\nx")
    };
    check(
        variables(VARIABLES_MAX),
        variables(VARIABLES_MAX + 1),
        19,
        "more than 16 variables",
    );
    let examples = |count| {
        let example = "[[examples]]\nuser = ''\nassistant = ''\n";
        format!("+++\n{}+++\nx", example.repeat(count))
    };
    check(
        examples(EXAMPLES_MAX),
        examples(EXAMPLES_MAX + 1),
        50,
        "more than 16 examples",
    );
}

#[test]
fn the_folder_holds_so_many_and_says_which_are_left_out() {
    let files = |count| (0..count).map(|number| file(&format!("p{number:03}.md"), "x"));
    let mut set = PromptSet::default();
    assert_eq!(set.update(files(PROMPTS_MAX).collect()), []);
    assert_eq!(set.all().count(), PROMPTS_MAX);
    let errors = set.update(files(PROMPTS_MAX + 1).collect());
    assert_eq!(
        errors
            .iter()
            .map(PromptError::to_string)
            .collect::<Vec<_>>(),
        ["p256.md:1: the folder holds more than 256 prompts; this one is left out"]
    );
    assert_eq!(
        set.update(files(PROMPTS_MAX + 1).collect()),
        [],
        "told once"
    );
    assert_eq!(set.all().count(), PROMPTS_MAX);
}

proptest::proptest! {
    /// No file breaks the reader, and what is read renders or says why not.
    #[test]
    fn any_file_is_read_or_refused(head in "(\\+\\+\\+\n)?[a-z=\\[\\]' \n]{0,40}", body in "(\\+\\+\\+\n)?[{}%a-z |\n]{0,40}") {
        let mut set = PromptSet::default();
        let errors = set.update(vec![file("x.md", &format!("{head}{body}"))]);
        proptest::prop_assert_eq!(errors.len() + set.all().count(), 1);
        for (_, prompt) in set.all() {
            let text = prompt.render(&given(&[]), &SMALL, &Markers::default(), 0);
            proptest::prop_assert!(text.is_ok());
        }
    }
}
