//! From subschemas to nodes: references followed, `allOf` merged, `anyOf` and `oneOf` as ways.
//!
//! A node stands for all values that satisfy a set of subschemas. It has several ways, each of which says
//! everything that holds for its values in one place. Nodes name each other by number, so that schemas may be
//! recursive.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::facets::{Additional, All, Facets, Numbers, Place, Strings};
use super::{Limits, SchemaError, fail, read, text};
use crate::{Builder, Grammar, Kinds};

/// Ways that one node may have.
pub const WAYS_MAX: usize = 100;

/// Work that merging a schema may take: properties and values looked at.
pub const WORK_MAX: usize = 1 << 20;

pub(super) type NodeId = usize;

/// Values that satisfy a set of subschemas.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub at: String,
    pub ways: Vec<Way<'a>>,
}

/// Some of the values of a node.
#[derive(Debug)]
pub(super) struct Way<'a> {
    /// Exactly these, whatever else stands here.
    pub values: Option<Vec<&'a Value>>,
    /// The kinds that are written.
    pub kinds: Kinds,
    /// Kinds of which every value is valid, and none is written.
    pub silent: Kinds,
    pub number: Numbers,
    pub string: Strings,
    pub array: Array,
    pub object: Object<'a>,
    /// Which alternative of which `oneOf` it comes from.
    pub chosen: Vec<(usize, usize)>,
}

#[derive(Debug)]
pub(super) struct Array {
    pub prefix: Vec<NodeId>,
    pub items: NodeId,
    pub min: u64,
    pub max: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Object<'a> {
    /// In the order in which they are written.
    pub properties: Vec<Property<'a>>,
    /// What properties that are not listed are written like.
    pub additional: Option<NodeId>,
    /// Whether no other properties may be there.
    pub closed: bool,
}

#[derive(Debug)]
pub(super) struct Property<'a> {
    pub name: &'a str,
    /// `None` where it must not be there.
    pub node: Option<NodeId>,
    pub required: bool,
}

impl Way<'_> {
    /// Whether every JSON value satisfies it.
    pub fn is_any(&self) -> bool {
        let object = &self.object;
        let free = object.properties.is_empty() && object.additional.is_none() && !object.closed;
        let items = self.array.prefix.is_empty() && self.array.items == ANY;
        self.values.is_none()
            && self.kinds == Kinds::ALL
            && self.number.is_free()
            && self.string.is_free()
            && (items && self.array.min == 0 && self.array.max.is_none())
            && free
    }
}

/// The node that every value satisfies.
pub(super) const ANY: NodeId = 0;

/// The node of the whole schema.
pub(super) const ROOT: NodeId = 1;

/// Follows `root`, and gives its nodes.
pub(super) fn nodes<'a>(root: &'a Value, limits: &Limits) -> Result<Vec<Node<'a>>, SchemaError> {
    let mut merger = Merger {
        root,
        limits,
        known: HashMap::new(),
        queue: VecDeque::new(),
        count: 0,
        values: 0,
        work: Cell::new(0),
    };
    merger.node(Vec::new())?;
    merger.node(vec![Place {
        schema: root,
        at: "#".to_owned(),
        depth: 1,
    }])?;
    let mut nodes = Vec::new();
    while let Some(all) = merger.queue.pop_front() {
        nodes.push(merger.read(&all)?);
    }
    Ok(nodes)
}

struct Merger<'a, 'l> {
    root: &'a Value,
    limits: &'l Limits,
    /// Nodes by the addresses of their subschemas.
    known: HashMap<Vec<usize>, NodeId>,
    /// Nodes to read, in the order of their numbers.
    queue: VecDeque<All<'a>>,
    /// Nodes and ways there are.
    count: usize,
    /// Values of `enum` lists there are.
    values: usize,
    work: Cell<usize>,
}

/// A subschema that is still to be read, and those that led to it.
type Next<'a> = (Place<'a>, Vec<usize>);

/// A way that is being followed.
#[derive(Clone, Default)]
struct Open<'a> {
    facets: Facets<'a>,
    next: VecDeque<Next<'a>>,
    done: Vec<usize>,
    chosen: Vec<(usize, usize)>,
}

impl Open<'_> {
    /// Ways with equal keys end alike.
    fn key(&self) -> (Vec<usize>, Vec<usize>, Vec<(usize, usize)>) {
        let mut done = self.done.clone();
        done.sort_unstable();
        let next = self.next.iter().map(|(place, _)| place.address());
        (next.collect(), done, self.chosen.clone())
    }
}

impl<'a> Merger<'a, '_> {
    /// The node of all these, and where it will be found.
    fn node(&mut self, all: All<'a>) -> Result<NodeId, SchemaError> {
        let all = all
            .iter()
            .map(|place| self.resolved(place))
            .collect::<Result<All<'a>, _>>()?;
        let mut key: Vec<usize> = all.iter().map(Place::address).collect();
        key.sort_unstable();
        key.dedup();
        if let Some(node) = self.known.get(&key) {
            return Ok(*node);
        }
        let node = self.known.len();
        self.known.insert(key, node);
        self.counted(all.first().map_or("#", |place| &place.at))?;
        self.queue.push_back(all);
        Ok(node)
    }

    fn counted(&mut self, at: &str) -> Result<(), SchemaError> {
        self.count += 1;
        let max = self.limits.nodes_max;
        match self.count > max {
            true => Err(fail(at, format!("more than {max} subschemas"))),
            false => Ok(()),
        }
    }

    fn spend(&self, work: usize, at: &str) -> Result<(), SchemaError> {
        let work = self.work.get().saturating_add(work);
        self.work.set(work);
        match work > WORK_MAX {
            true => Err(fail(
                at,
                "merging what must hold together takes too much work",
            )),
            false => Ok(()),
        }
    }

    /// Where a subschema is nothing but a reference, what it refers to.
    fn resolved(&self, place: &Place<'a>) -> Result<Place<'a>, SchemaError> {
        let mut place = place.clone();
        let mut way = HashSet::new();
        while let Value::Object(map) = place.schema
            && let Some(to) = map.get("$ref")
            && map
                .keys()
                .all(|key| key == "$ref" || read::is_annotation(key))
        {
            if !way.insert(place.address()) {
                return Err(fail(&place.at, "`$ref` goes in a circle"));
            }
            place = self.target(&place, to)?;
        }
        Ok(place)
    }

    fn target(&self, from: &Place<'a>, to: &Value) -> Result<Place<'a>, SchemaError> {
        let text = to.as_str().and_then(|text| text.strip_prefix('#'));
        let found = text.and_then(decoded).and_then(|pointer| {
            let schema = self.root.pointer(&pointer)?;
            Some((schema, pointer))
        });
        let Some((schema, pointer)) = found else {
            let reason = format!("`$ref` {to} points nowhere in the schema");
            return Err(fail(&from.at, reason));
        };
        Ok(Place {
            schema,
            at: format!("#{pointer}"),
            depth: 1,
        })
    }

    fn read(&mut self, all: &All<'a>) -> Result<Node<'a>, SchemaError> {
        let at = all.first().map_or("#", |place| &place.at).to_owned();
        let mut ways = Vec::new();
        for open in self.expand(all, &at)? {
            self.counted(&at)?;
            ways.extend(self.way(open, &at)?);
        }
        match ways.is_empty() {
            true => Err(fail(&at, "no value satisfies it")),
            false => Ok(Node { at, ways }),
        }
    }

    /// Every way to satisfy all of these.
    fn expand(&self, all: &All<'a>, at: &str) -> Result<Vec<Open<'a>>, SchemaError> {
        let first = Open {
            next: all
                .iter()
                .map(|place| (place.clone(), Vec::new()))
                .collect(),
            ..Open::default()
        };
        let mut opens = vec![first];
        let mut seen = HashSet::new();
        let mut ways = Vec::new();
        while let Some(mut open) = opens.pop() {
            let Some((place, led)) = open.next.pop_front() else {
                ways.push(open);
                continue;
            };
            if open.done.contains(&place.address()) {
                opens.push(open);
                continue;
            }
            let branches = self.follow(open, &place, &led)?;
            // The last is taken first.
            opens.extend(
                branches
                    .into_iter()
                    .rev()
                    .filter(|open| seen.insert(open.key())),
            );
            if opens.len() + ways.len() > WAYS_MAX {
                return Err(fail(at, format!("more than {WAYS_MAX} ways to satisfy it")));
            }
        }
        Ok(ways)
    }

    /// Reads one subschema into a way, and gives the ways it branches into.
    fn follow(
        &self,
        mut open: Open<'a>,
        place: &Place<'a>,
        led: &[usize],
    ) -> Result<Vec<Open<'a>>, SchemaError> {
        let at = &place.at;
        if place.depth > self.limits.depth_max {
            let max = self.limits.depth_max;
            return Err(fail(at, format!("more than {max} levels deep")));
        }
        open.done.push(place.address());
        let facets = read::facets(place)?;
        self.spend(open.facets.size() * facets.size() + open.done.len(), at)?;
        open.facets.and(facets).map_err(|reason| fail(at, reason))?;
        if open.facets.types == Some(Kinds::NONE) {
            return Ok(Vec::new());
        }
        let Value::Object(map) = place.schema else {
            return Ok(vec![open]);
        };
        let mut led = led.to_vec();
        led.push(place.address());
        if let Some(to) = map.get("$ref") {
            let target = self.target(place, to)?;
            open.next.push_back(self.next(&target, &led)?);
        }
        if let Some(list) = map.get("allOf") {
            for place in places(place, "allOf", list)? {
                open.next.push_back(self.next(&place, &led)?);
            }
        }
        let mut opens = vec![open];
        for key in ["anyOf", "oneOf"] {
            if let Some(list) = map.get(key) {
                opens = self.branch(&opens, places(place, key, list)?, key, &led)?;
            }
        }
        Ok(opens)
    }

    fn branch(
        &self,
        opens: &[Open<'a>],
        branches: Vec<Place<'a>>,
        key: &str,
        led: &[usize],
    ) -> Result<Vec<Open<'a>>, SchemaError> {
        let choice = branches.first().map_or(0, Place::address);
        let mut ways = Vec::with_capacity(opens.len() * branches.len());
        for open in opens {
            for (index, place) in branches.iter().enumerate() {
                if ways.len() > WAYS_MAX {
                    let reason = format!("more than {WAYS_MAX} ways to satisfy it");
                    return Err(fail(&place.at, reason));
                }
                let size = open.facets.size() + open.done.len() + 8 * open.next.len();
                self.spend(size, &place.at)?;
                let mut open = open.clone();
                open.next.push_back(self.next(place, led)?);
                if key == "oneOf" {
                    open.chosen.push((choice, index));
                }
                ways.push(open);
            }
        }
        Ok(ways)
    }

    fn next(&self, place: &Place<'a>, led: &[usize]) -> Result<Next<'a>, SchemaError> {
        let place = self.resolved(place)?;
        match led.contains(&place.address()) {
            true => Err(fail(&place.at, "`$ref` goes in a circle")),
            false => Ok((place, led.to_vec())),
        }
    }

    /// What a way says, with the nodes it names; `None` where nothing satisfies it.
    fn way(&mut self, open: Open<'a>, at: &str) -> Result<Option<Way<'a>>, SchemaError> {
        let mut facets = open.facets;
        let mut kinds = facets.written();
        let silent = facets.silent();
        let values = match facets.values.take() {
            None => None,
            Some(values) => Some(self.values(&values, &facets, at)?),
        };
        if !facets.object.list_required() {
            kinds = kinds.without(Kinds::OBJECT);
        }
        let array = &facets.array;
        if array.max.is_some_and(|max| max < array.min) {
            kinds = kinds.without(Kinds::ARRAY);
        }
        let possible = match &values {
            Some(values) => !values.is_empty(),
            None => kinds != Kinds::NONE,
        };
        if !possible {
            return Ok(None);
        }
        Ok(Some(Way {
            // Values say all there is to say.
            silent: if values.is_some() {
                Kinds::NONE
            } else {
                silent
            },
            kinds: match &values {
                Some(values) => values
                    .iter()
                    .fold(Kinds::NONE, |kinds, value| kinds.or(Kinds::of(value))),
                None => kinds,
            },
            array: self.array(&facets)?,
            object: self.object(&facets)?,
            values,
            number: facets.number,
            string: facets.string,
            chosen: open.chosen,
        }))
    }

    fn array(&mut self, facets: &Facets<'a>) -> Result<Array, SchemaError> {
        let array = &facets.array;
        let prefix = array.prefix.iter().map(|all| self.node(all.clone()));
        Ok(Array {
            prefix: prefix.collect::<Result<_, _>>()?,
            items: self.node(array.items.clone())?,
            min: array.min,
            max: array.max,
        })
    }

    fn object(&mut self, facets: &Facets<'a>) -> Result<Object<'a>, SchemaError> {
        let object = &facets.object;
        let mut properties = Vec::with_capacity(object.properties.len());
        for (name, word) in &object.properties {
            let node = match word {
                None => None,
                Some(all) => Some(self.node(all.clone())?),
            };
            let required = object.required.contains(name);
            properties.push(Property {
                name,
                node,
                required,
            });
        }
        Ok(Object {
            properties,
            additional: match &object.additional {
                Additional::Like(all) => Some(self.node(all.clone())?),
                _ => None,
            },
            closed: matches!(object.additional, Additional::Forbidden),
        })
    }

    /// Those of `values` that satisfy the facets too.
    fn values(
        &mut self,
        values: &[&'a Value],
        facets: &Facets<'a>,
        at: &str,
    ) -> Result<Vec<&'a Value>, SchemaError> {
        self.values += values.len();
        let max = self.limits.enum_max;
        if self.values > max {
            return Err(fail(at, format!("more than {max} values in `enum` lists")));
        }
        let forms = forms(&facets.string).map_err(|reason| fail(at, reason))?;
        let mut kept = Vec::new();
        for value in values {
            if facets
                .types
                .is_some_and(|types| !types.has(Kinds::of(value)))
            {
                continue;
            }
            let good = match value {
                Value::Number(number) => facets.number.contain(number),
                Value::String(text) => {
                    let json = value.to_string();
                    let formed = forms.iter().all(|form| form.accepts(&json));
                    Some(facets.string.fit(text) && formed)
                }
                Value::Array(_) => facets.array.is_free().then_some(true),
                Value::Object(_) => facets.object.is_free().then_some(true),
                Value::Null | Value::Bool(_) => Some(true),
            };
            match good {
                Some(true) => kept.push(*value),
                Some(false) => {}
                None => {
                    let reason =
                        format!("the value {value} together with other keywords is not supported");
                    return Err(fail(at, reason));
                }
            }
        }
        Ok(kept)
    }
}

/// Grammars of the strings that pattern and format permit, to ask them about values.
fn forms(strings: &Strings) -> Result<Vec<Grammar>, String> {
    let pattern = strings.pattern.clone().map(|pattern| Strings {
        pattern: Some(pattern),
        ..Strings::default()
    });
    let format = strings.format.clone().map(|format| Strings {
        format: Some(format),
        ..Strings::default()
    });
    let character = text::character();
    let mut forms = Vec::new();
    for strings in [pattern, format].into_iter().flatten() {
        if let Some(root) = text::write(&character, &strings)? {
            let grammar = Builder::new().finish(root);
            forms.push(grammar.map_err(|error| error.to_string())?);
        }
    }
    Ok(forms)
}

fn places<'a>(
    place: &Place<'a>,
    key: &str,
    list: &'a Value,
) -> Result<Vec<Place<'a>>, SchemaError> {
    match list.as_array().filter(|list| !list.is_empty()) {
        None => Err(fail(
            &format!("{}/{key}", place.at),
            "must be a list with something in it",
        )),
        Some(list) => Ok(list
            .iter()
            .enumerate()
            .map(|(index, schema)| place.child(schema, &format!("{key}/{index}")))
            .collect()),
    }
}

/// A JSON pointer out of an address: `%20` is a blank.
fn decoded(pointer: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'%' => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                rest = &tail[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}
