//! Commands out of Python's objects, and replies into them. `redis/native_resp.py` is its only caller.
//!
//! The interpreter's lock is kept: a batch is a megabyte at most, which takes a few hundred microseconds, while getting the
//! lock back from a busy thread takes up to five milliseconds.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple, PyType};
use spanflow_engine::resp_commands::{push_command, push_entry};
use spanflow_engine::resp_replies::{Replies, Token};

use crate::guarded;

/// `mirror_items.END`.
const END: i64 = 2;
/// Where a stream entry has what; `mirror_items.StreamEntry`.
const STREAM: usize = 0;
const KIND: usize = 1;
const DATA: usize = 3;
const WHOLE: usize = 4;

/// The XADD commands of a batch's entries from place `at` on, and the place of the first item that is left to Python: one of
/// another kind, an entry beside which more is to be written, the first one of a stream, or one that may have to say more.
#[pyfunction]
pub fn pack_entries<'py>(
    py: Python<'py>,
    batch: &Bound<'py, PyAny>,
    at: usize,
    now: f64,
    kind: &Bound<'py, PyType>,
) -> PyResult<(Bound<'py, PyBytes>, usize)> {
    let Ok(batch) = batch.cast_exact::<PyList>() else {
        return Ok((PyBytes::new(py, b""), at));
    };
    guarded(|| {
        let mut out = Vec::new();
        let mut place = at;
        let mut last: Option<Stream<'py>> = None;
        while place < batch.len() {
            let item = batch.get_item(place)?;
            if !item.get_type().is(kind) {
                break;
            }
            let item = item.cast_into::<PyTuple>()?;
            let object = item.get_item(STREAM)?;
            // No Python runs in between, so that a stream stays as it was found.
            if !last.as_ref().is_some_and(|stream| stream.object.is(&object)) {
                last = Stream::read(object, now)?;
            }
            let Some(stream) = &last else { break };
            if stream.incomplete
                && item.get_item(KIND)?.extract::<i64>()? == END
                && item.get_item(WHOLE)?.cast_into::<PyBytes>()?.as_bytes() != b""
            {
                break;
            }
            let data = item.get_item(DATA)?.cast_into::<PyBytes>()?;
            push_entry(&mut out, stream.head.as_bytes(), data.as_bytes());
            place += 1;
        }
        Ok((PyBytes::new(py, &out), place))
    })?
}

/// `stream_state.StreamState`, as far as it matters here.
struct Stream<'py> {
    object: Bound<'py, PyAny>,
    head: Bound<'py, PyBytes>,
    incomplete: bool,
}

impl<'py> Stream<'py> {
    /// None where more is to be written than an event.
    fn read(object: Bound<'py, PyAny>, now: f64) -> PyResult<Option<Self>> {
        let py = object.py();
        if now >= object.getattr(intern!(py, "touched_at"))?.extract()? {
            return Ok(None);
        }
        let users = object.getattr(intern!(py, "users"))?;
        let indexed = object.getattr(intern!(py, "indexed"))?;
        if !indexed.is(&users) && !indexed.eq(&users)? {
            return Ok(None);
        }
        let head = if object.getattr(intern!(py, "created"))?.extract()? {
            object.getattr(intern!(py, "appending"))?
        } else {
            object.getattr(intern!(py, "creating"))?
        };
        let head = head.cast_into::<PyBytes>()?;
        if head.as_bytes().is_empty() {
            return Ok(None);
        }
        let incomplete = object.getattr(intern!(py, "incomplete"))?.extract()?;
        Ok(Some(Self {
            object,
            head,
            incomplete,
        }))
    }
}

/// A command as it goes to Redis.
#[pyfunction]
pub fn pack_command<'py>(py: Python<'py>, words: Vec<Bound<'py, PyBytes>>) -> PyResult<Bound<'py, PyBytes>> {
    guarded(|| {
        let mut out = Vec::with_capacity(words.iter().map(|word| word.as_bytes().len() + 16).sum::<usize>() + 16);
        push_command(&mut out, words.iter().map(|word| word.as_bytes()));
        PyBytes::new(py, &out)
    })
}

/// Reads the replies of one round trip.
#[pyclass(module = "spanflow_core")]
pub struct ReplyReader {
    replies: Replies,
}

#[pymethods]
impl ReplyReader {
    #[new]
    fn new(wanted: usize) -> Self {
        Self {
            replies: Replies::new(wanted),
        }
    }

    /// Whether all replies are there now, and what is wrong with them.
    fn feed(&mut self, chunk: &Bound<'_, PyBytes>) -> PyResult<(bool, String)> {
        Ok(match guarded(|| self.replies.feed(chunk.as_bytes()))? {
            Ok(complete) => (complete, String::new()),
            Err(problem) => (false, problem.to_string()),
        })
    }

    #[getter]
    fn all_well(&self) -> bool {
        self.replies.all_well()
    }

    /// The replies as Python's objects. `refusal` makes an exception of an error's bytes.
    fn list<'py>(&self, py: Python<'py>, refusal: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        guarded(|| {
            let all = PyList::empty(py);
            // Arrays that are not complete yet, with the number of items that are still to come.
            let mut open: Vec<(Bound<'py, PyList>, usize)> = Vec::new();
            for token in self.replies.tokens() {
                let value = match token {
                    Token::Text(range) => PyBytes::new(py, self.replies.text(range)).into_any(),
                    Token::Error(range) => refusal.call1((PyBytes::new(py, self.replies.text(range)),))?,
                    Token::Int(number) => number.into_pyobject(py)?.into_any(),
                    Token::Null => py.None().into_bound(py),
                    Token::Array(items) => {
                        let array = PyList::empty(py);
                        open.last().map_or(&all, |(items, _)| items).append(&array)?;
                        if let Some((_, missing)) = open.last_mut() {
                            *missing -= 1;
                        }
                        open.push((array, *items));
                        open.truncate(
                            open.iter()
                                .rposition(|(_, missing)| *missing > 0)
                                .map_or(0, |at| at + 1),
                        );
                        continue;
                    }
                };
                match open.last_mut() {
                    None => all.append(value)?,
                    Some((items, missing)) => {
                        items.append(value)?;
                        *missing -= 1;
                        open.truncate(
                            open.iter()
                                .rposition(|(_, missing)| *missing > 0)
                                .map_or(0, |at| at + 1),
                        );
                    }
                }
            }
            Ok(all)
        })?
    }
}
