//! Attributes of spans out of Python's objects, and back as bytes. `encoding/native_attributes.py` is its only caller.
//!
//! The interpreter's lock is kept: the texts of one set that are read at all are some ten thousand characters, which
//! take less than two hundred microseconds, while getting the lock back from a busy thread takes up to five milliseconds.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use spanflow_engine::attributes::{Content, DEEPEST, Encoded, Policy, Refusal, encode};
use spanflow_engine::value::{Members, Value};
use spanflow_engine::verdicts::{Question, Verdict, Verdicts};

use crate::guarded;

/// Values of one set that are looked at, and bytes of text in it: what is larger is left to Python.
const MOST_VALUES: usize = 4096;
const MOST_BYTES: usize = 1 << 18;
/// Keys within a value are known only when the key of the value is.
const MOST_ATTEMPTS: usize = 4;

/// JSON, `types`, the names that were left out, how many values were hidden, and what the flow's budget is charged with.
type Clean<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyTuple>,
    usize,
    usize,
);

/// One redaction policy's attributes as JSON. What it remembers are Python's verdicts about keys.
#[pyclass(frozen, module = "spanflow_core")]
pub struct AttributeEncoder {
    policy: Policy,
    /// Python's `Redactor.verdict`.
    judge: Py<PyAny>,
    /// Never held while Python runs, so that no fork finds it taken.
    verdicts: Mutex<Verdicts>,
}

#[pymethods]
impl AttributeEncoder {
    #[new]
    fn new(
        judge: Py<PyAny>,
        content: &str,
        hides_emails: bool,
        secret_keys: Vec<String>,
        max_length: usize,
        max_depth: usize,
        max_items: usize,
    ) -> PyResult<Self> {
        let content = match content {
            "full" => Content::Full,
            "hash" => Content::Hash,
            "off" => Content::Off,
            _ => return Err(PyValueError::new_err("content is full, hash or off")),
        };
        let policy = Policy {
            content,
            hides_emails,
            secret_keys,
            max_length,
            max_depth,
            max_items,
        };
        Ok(Self {
            policy,
            judge,
            verdicts: Mutex::default(),
        })
    }

    /// The attributes as they may be seen; None where Python decides. `budget`: characters that are left to the flow.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        attributes: &Bound<'py, PyAny>,
        budget: usize,
    ) -> PyResult<Option<Clean<'py>>> {
        let Ok(attributes) = attributes.cast_exact::<PyDict>() else {
            return Ok(None);
        };
        for _ in 0..MOST_ATTEMPTS {
            let mut reader = Reader::default();
            let done = guarded(|| {
                let members = reader.members(attributes, 0)?;
                Some(encode(&self.policy, &self.verdicts(), &members, budget))
            })?;
            match done {
                Some(Ok(encoded)) => return clean(py, attributes, &encoded).map(Some),
                Some(Err(Refusal::Unknown(questions))) => {
                    if !self.ask(py, questions)? {
                        return Ok(None);
                    }
                }
                Some(Err(Refusal::Unsure)) | None => return Ok(None),
            }
        }
        Ok(None)
    }
}

impl AttributeEncoder {
    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False where Python's own side fails: it will ask itself and fail there, which is no fault of the core.
    fn ask(&self, py: Python<'_>, questions: Vec<Question>) -> PyResult<bool> {
        for question in questions {
            let Ok(answer) = self.judge.call1(py, (question.0.as_str(), question.1)) else {
                return Ok(false);
            };
            let verdict = Verdict::named(answer.extract::<&str>(py)?)
                .ok_or_else(|| PyValueError::new_err("a verdict that the core does not know"))?;
            self.verdicts().learn(question, verdict);
        }
        Ok(true)
    }
}

fn clean<'py>(py: Python<'py>, attributes: &Bound<'py, PyDict>, encoded: &Encoded) -> PyResult<Clean<'py>> {
    let removed = if encoded.removed.is_empty() {
        PyTuple::empty(py)
    } else {
        let keys = attributes.keys();
        let names: PyResult<Vec<_>> = encoded.removed.iter().map(|&place| keys.get_item(place)).collect();
        PyTuple::new(py, names?)?
    };
    Ok((
        PyBytes::new(py, &encoded.json),
        PyBytes::new(py, &encoded.types),
        removed,
        encoded.hidden,
        encoded.spent,
    ))
}

/// Reads values of exactly Python's own types; a class derived from one may say anything of itself.
#[derive(Default)]
struct Reader<'py> {
    /// The texts that values borrow from.
    texts: Vec<Bound<'py, PyString>>,
    values: usize,
    bytes: usize,
}

impl<'py> Reader<'py> {
    fn members<'a>(&'a mut self, given: &Bound<'py, PyDict>, depth: usize) -> Option<Members<'a>> {
        // SAFETY: what `read_members` borrows lives in `self.texts`, which nothing takes from while `self` is borrowed.
        unsafe { self.read_members(given, depth) }
    }

    /// # Safety
    ///
    /// The caller gives out nothing of it for longer than `self` lives.
    unsafe fn read_members<'a>(&mut self, given: &Bound<'py, PyDict>, depth: usize) -> Option<Members<'a>> {
        let mut members = Vec::with_capacity(given.len().min(MOST_VALUES));
        for (key, value) in given.iter() {
            // SAFETY: as for this function.
            members.push(unsafe { (self.text(key.cast_into_exact().ok()?)?, self.value(value, depth + 1)?) });
        }
        Some(members)
    }

    /// # Safety
    ///
    /// As for `read_members`.
    unsafe fn value<'a>(&mut self, given: Bound<'py, PyAny>, depth: usize) -> Option<Value<'a>> {
        self.values += 1;
        if self.values > MOST_VALUES || depth > DEEPEST + 1 {
            return None;
        }
        let given = match given.cast_into_exact::<PyString>() {
            // SAFETY: as for this function.
            Ok(text) => return unsafe { self.text(text) }.map(Value::Text),
            Err(other) => other.into_inner(),
        };
        if let Ok(number) = given.cast_exact::<PyInt>() {
            return number.extract().ok().map(Value::Int);
        }
        if let Ok(flag) = given.cast_exact::<PyBool>() {
            return Some(Value::Bool(flag.is_true()));
        }
        if let Ok(number) = given.cast_exact::<PyFloat>() {
            return Some(Value::Float(number.value()));
        }
        if given.is_none() {
            return Some(Value::Null);
        }
        if let Ok(list) = given.cast_exact::<PyList>() {
            // SAFETY: as for this function.
            return unsafe { self.items(list.iter(), depth) };
        }
        if let Ok(tuple) = given.cast_exact::<PyTuple>() {
            // SAFETY: as for this function.
            return unsafe { self.items(tuple.iter(), depth) };
        }
        let members = given.cast_exact::<PyDict>().ok()?;
        // SAFETY: as for this function.
        unsafe { self.read_members(members, depth) }.map(Value::Map)
    }

    /// # Safety
    ///
    /// As for `read_members`.
    unsafe fn items<'a>(
        &mut self,
        given: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
        depth: usize,
    ) -> Option<Value<'a>> {
        let mut items = Vec::with_capacity(given.len().min(MOST_VALUES));
        for item in given {
            // SAFETY: as for this function.
            items.push(unsafe { self.value(item, depth + 1) }?);
        }
        Some(Value::List(items))
    }

    /// # Safety
    ///
    /// As for `read_members`.
    unsafe fn text<'a>(&mut self, text: Bound<'py, PyString>) -> Option<&'a str> {
        // Lone surrogates are no Unicode; Python decides about them.
        let borrowed: *const str = text.to_str().ok()?;
        self.texts.push(text);
        // SAFETY: the bytes belong to the Python object, do not move, and live as long as it does, which is in `texts`.
        let borrowed = unsafe { &*borrowed };
        self.bytes += borrowed.len();
        (self.bytes <= MOST_BYTES).then_some(borrowed)
    }
}
