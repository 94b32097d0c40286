//! Guests that pass nonsense get an errno; the process lives and goes on answering.

use serde_json::json;

use crate::wasmedge::{Start, with_each};

/// Addresses and lengths that are not the guest's: behind its memory, at the very end of 32 bits, or
/// wrapping around it.
const BAD: [i32; 6] = [i32::MAX, -1, -4, -65536, i32::MIN, 0x3fff_ffff];

#[test]
fn pointers_into_nowhere() {
    with_each(|wasmedge| {
        let mut guest = Start::chat().run(wasmedge);
        guest.load("default").unwrap();
        guest.context();
        for bad in BAD {
            for (function, arguments) in [
                ("load", vec![bad, 1, 6, 0, 0]),
                ("load", vec![0, bad, 6, 0, 0]),
                ("load", vec![0, 1, 6, bad, 0]),
                ("load", vec![0, 1, bad, 0, 0]),
                ("load_by_name", vec![bad, 7, 0]),
                ("load_by_name", vec![0, bad, 0]),
                ("load_by_name_with_config", vec![bad, 7, 0, 2, 0]),
                ("load_by_name_with_config", vec![0, 0, bad, bad, 0]),
                ("init_execution_context", vec![0, bad]),
                ("init_execution_context", vec![bad, 0]),
                ("set_input", vec![0, 0, bad]),
                ("set_input", vec![0, bad, 0]),
                ("set_input", vec![bad, 0, 0]),
                ("get_output", vec![0, 2, bad, i32::MAX, 1024]),
                ("get_output", vec![0, 2, 1024, 100_000, bad]),
                ("get_output", vec![0, bad, 1024, 100_000, 1024]),
                ("get_output_single", vec![bad, 0, 1024, 100, 1024]),
                ("compute", vec![bad]),
                ("compute_single", vec![bad]),
                ("fini_single", vec![bad]),
                ("finalize_execution_context", vec![bad]),
                ("unload", vec![bad]),
            ] {
                let errno = guest.raw(function, &arguments);
                assert!(
                    (1..=8).contains(&errno),
                    "{function} {arguments:?}: {errno}"
                );
            }
        }
        let context = guest.context();
        guest
            .set(context, 1, json!({"temp": 0, "n-predict": 2}))
            .unwrap();
        guest.set(context, 0, json!("Hello")).unwrap();
        guest.on("compute", context).unwrap();
        guest.end();
    });
}

#[test]
fn inputs_without_sense() {
    with_each(|wasmedge| {
        let mut guest = Start::chat().run(wasmedge);
        guest.load("default").unwrap();
        let context = guest.context();
        assert_eq!(guest.on("compute", context), Err(1));
        assert_eq!(guest.on("step", context), Err(1));
        assert_eq!(guest.get(context, 4, "f32"), Err(1));
        assert_eq!(guest.get(context, 8, "text"), Err(1));
        assert_eq!(guest.set(context, 9, json!("x")), Err(1));
        for bad in [
            json!("not json"),
            json!("[]"),
            json!({"temp": "warm"}),
            json!({"stop": 1}),
        ] {
            assert_eq!(guest.set(context, 1, bad), Err(1));
        }
        for bad in [json!("{}"), json!("[1]"), json!([[4e20]])] {
            assert_eq!(guest.set(context, 3, bad), Err(1));
        }
        guest.set(context, 2, json!([1, -5])).unwrap();
        assert_eq!(guest.on("compute", context), Err(1));
        guest.set(context, 0, json!("")).unwrap();
        assert_eq!(guest.on("compute", context), Err(1));
        for bad in ["root ::= (", "root ::= root", "no"] {
            guest.set(context, 1, json!({"grammar": bad})).unwrap();
            guest.set(context, 0, json!("Hello")).unwrap();
            assert_eq!(guest.on("compute", context), Err(1));
        }
        guest
            .set(
                context,
                1,
                json!({"grammar": "", "json-schema": "{\"type\": 5}"}),
            )
            .unwrap();
        assert_eq!(guest.on("compute", context), Err(1));
        guest.end();
    });
}
