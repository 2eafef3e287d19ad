//! Whatever attributes hold: no panic, well-formed JSON, and counts that can be true.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use spanflow_engine::attributes::{Content, Policy, Refusal, encode};
use spanflow_engine::value::{Members, Value};
use spanflow_engine::verdicts::{Verdict, Verdicts};

/// Deeper than the engine reads.
const DEEPEST: usize = 20;
/// As the binding has it.
const MOST_ATTEMPTS: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let _ = attack(&mut Unstructured::new(bytes));
});

fn attack(bytes: &mut Unstructured<'_>) -> Result<()> {
    let policy = Policy {
        content: *bytes.choose(&[Content::Full, Content::Hash, Content::Off])?,
        hides_emails: bytes.arbitrary()?,
        secret_keys: bytes.arbitrary()?,
        max_length: bytes.arbitrary::<u16>()?.into(),
        max_depth: bytes.arbitrary::<u8>()?.into(),
        max_items: bytes.arbitrary::<u16>()?.into(),
    };
    let budget = bytes.arbitrary::<u16>()?.into();
    let attributes = members(bytes, 0)?;
    let mut verdicts = Verdicts::default();
    for _ in 0..MOST_ATTEMPTS {
        match encode(&policy, &verdicts, &attributes, budget) {
            Ok(encoded) => {
                assert!(encoded.spent <= budget);
                assert!(encoded.removed.iter().all(|&place| place < attributes.len()));
                let json: Json = serde_json::from_slice(&encoded.json).expect("attributes are JSON");
                assert!(json.is_object());
                if !encoded.types.is_empty() {
                    let types: Json = serde_json::from_slice(&encoded.types).expect("types are JSON");
                    assert!(types.is_object());
                }
                return Ok(());
            }
            Err(Refusal::Unsure) => return Ok(()),
            Err(Refusal::Unknown(questions)) => {
                for question in questions {
                    let words = ["kept", "plain", "count", "content", "token", "secret", "renamed"];
                    verdicts.learn(question, Verdict::named(bytes.choose(&words)?).expect("a verdict"));
                }
            }
        }
    }
    Ok(())
}

fn members<'a>(bytes: &mut Unstructured<'a>, depth: usize) -> Result<Members<'a>> {
    let number = bytes.int_in_range(0..=8)?;
    (0..number)
        .map(|_| Ok((bytes.arbitrary()?, value(bytes, depth)?)))
        .collect()
}

fn value<'a>(bytes: &mut Unstructured<'a>, depth: usize) -> Result<Value<'a>> {
    Ok(match bytes.int_in_range(0..=if depth < DEEPEST { 6 } else { 4 })? {
        0 => Value::Null,
        1 => Value::Bool(bytes.arbitrary()?),
        2 => Value::Int(bytes.arbitrary()?),
        3 => Value::Float(bytes.arbitrary()?),
        4 => Value::Text(bytes.arbitrary()?),
        5 => {
            let number = bytes.int_in_range(0..=8)?;
            Value::List((0..number).map(|_| value(bytes, depth + 1)).collect::<Result<_>>()?)
        }
        _ => Value::Map(members(bytes, depth + 1)?),
    })
}
