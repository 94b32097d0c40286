//! From a query as requests carry it to the engine's: ids become vectors, limits are held.
//!
//! A point that a query names by id never comes back as its own answer.

use std::iter;

use qdrant_edge::external::ordered_float::OrderedFloat;
use qdrant_edge::{
    Condition, ContextPair, ContextQuery, DiscoverQuery, EdgeConfig, FeedbackItem,
    FeedbackNaiveQuery, Filter, Fusion, Mmr, NaiveFeedbackStrategy, NamedQuery, PointId, Prefetch,
    QueryEnum, QueryRequest, RecommendQuery, RetrieveRequest, Sample, ScoringQuery, VectorInternal,
    VectorRef, WithPayloadInterface, WithVector, avg_vector_for_recommendation,
};

use crate::collection::Collection;
use crate::error::StoreError;
use crate::options::Limits;
use crate::registry::Registry;
use crate::wire::point::check_vector;
use crate::wire::query::{
    ContextPairInput, LIMIT_DEFAULT, LookupLocation, MmrInput, NaiveInput, PrefetchBody, Query,
    QueryBody, RecommendStrategy, RrfInput, VectorInput,
};

const RRF_K_DEFAULT: usize = 2;
const MMR_DIVERSITY_DEFAULT: f32 = 0.5;
const PREFETCH_DEPTH_MAX: usize = 8;

/// Resolves queries on one collection.
pub(crate) struct Resolver<'a> {
    registry: &'a Registry,
    collection: &'a Collection,
    limits: &'a Limits,
    config: EdgeConfig,
    prefetches: usize,
}

/// One stage of a query, the outermost and prefetches alike.
struct Stage {
    query: Option<serde_json::Value>,
    using: String,
    lookup: Option<LookupLocation>,
    filter: Option<Filter>,
    limit: usize,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        registry: &'a Registry,
        collection: &'a Collection,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            registry,
            collection,
            limits: registry.limits(),
            config: collection.engine_config()?,
            prefetches: 0,
        })
    }

    /// The engine's form of `body`.
    pub(crate) fn resolve(&mut self, body: QueryBody) -> Result<QueryRequest, StoreError> {
        let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
        let offset = body.offset.unwrap_or(0);
        check_limit(limit, offset, self.limits)?;
        let prefetches = self.prefetches(body.prefetch, 1)?;
        let (query, filter) = self.stage(Stage {
            query: body.query,
            using: body.using.unwrap_or_default(),
            lookup: body.lookup_from,
            filter: body.filter,
            limit,
        })?;
        if matches!(query, Some(ScoringQuery::Fusion(_))) && prefetches.is_empty() {
            return Err(StoreError::BadInput(
                "a fusion query takes prefetches".to_owned(),
            ));
        }
        Ok(QueryRequest {
            prefetches,
            query,
            filter,
            score_threshold: body.score_threshold,
            limit,
            offset,
            params: body.params,
            with_vector: body.with_vector.unwrap_or(WithVector::Bool(false)),
            with_payload: body
                .with_payload
                .unwrap_or(WithPayloadInterface::Bool(false)),
        })
    }

    fn prefetches(
        &mut self,
        bodies: Vec<PrefetchBody>,
        depth: usize,
    ) -> Result<Vec<Prefetch>, StoreError> {
        self.prefetches += bodies.len();
        if self.prefetches > self.limits.queries_max || depth > PREFETCH_DEPTH_MAX {
            return Err(StoreError::Invalid(format!(
                "prefetch: at most {} of them, {PREFETCH_DEPTH_MAX} deep",
                self.limits.queries_max
            )));
        }
        bodies
            .into_iter()
            .map(|body| self.prefetch(body, depth))
            .collect()
    }

    fn prefetch(&mut self, body: PrefetchBody, depth: usize) -> Result<Prefetch, StoreError> {
        let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
        check_limit(limit, 0, self.limits)?;
        let prefetches = self.prefetches(body.prefetch, depth + 1)?;
        let (query, filter) = self.stage(Stage {
            query: body.query,
            using: body.using.unwrap_or_default(),
            lookup: body.lookup_from,
            filter: body.filter,
            limit,
        })?;
        Ok(Prefetch {
            prefetches,
            query,
            limit,
            params: body.params,
            filter,
            score_threshold: body.score_threshold,
        })
    }

    fn stage(&self, stage: Stage) -> Result<(Option<ScoringQuery>, Option<Filter>), StoreError> {
        let Some(value) = stage.query else {
            return Ok((None, stage.filter));
        };
        let mut lookup = Lookup {
            resolver: self,
            stage: &stage.using,
            location: stage.lookup,
            ids: Vec::new(),
        };
        let query = lookup.scoring(Query::from_value(value)?, stage.limit)?;
        let named = lookup.ids;
        let filter = match named.is_empty() {
            true => stage.filter,
            false => {
                let not_named = Filter::new_must_not(Condition::HasId(named.into_iter().collect()));
                Filter::merge_opts(stage.filter, Some(not_named))
            }
        };
        Ok((Some(query), filter))
    }
}

/// Turns the inputs of one stage into vectors and remembers which points of this collection
/// were named.
struct Lookup<'a> {
    resolver: &'a Resolver<'a>,
    stage: &'a str,
    location: Option<LookupLocation>,
    ids: Vec<PointId>,
}

impl Lookup<'_> {
    fn scoring(&mut self, query: Query, limit: usize) -> Result<ScoringQuery, StoreError> {
        Ok(match query {
            Query::Nearest { vector, mmr: None } => self.nearest(vector)?,
            Query::Nearest {
                vector,
                mmr: Some(mmr),
            } => self.mmr(vector, mmr, limit)?,
            Query::Recommend {
                positive,
                negative,
                strategy,
            } => self.recommend(positive, negative, strategy)?,
            Query::Discover { target, context } => {
                let target = self.vector(target)?;
                let pairs = self.pairs(context)?;
                self.scored(QueryEnum::Discover, DiscoverQuery::new(target, pairs))
            }
            Query::Context(context) => {
                let pairs = self.pairs(context)?;
                self.scored(QueryEnum::Context, ContextQuery::new(pairs))
            }
            Query::Feedback {
                target,
                feedback,
                strategy,
            } => self.feedback(target, feedback, strategy)?,
            Query::OrderBy(order_by) => ScoringQuery::OrderBy(order_by.into()),
            Query::Rrf(RrfInput { k, weights }) => ScoringQuery::Fusion(Fusion::Rrf {
                k: k.unwrap_or(RRF_K_DEFAULT),
                weights: weights.map(|weights| weights.into_iter().map(OrderedFloat).collect()),
            }),
            Query::Dbsf => ScoringQuery::Fusion(Fusion::Dbsf),
            Query::Formula(formula) => ScoringQuery::Formula(formula.into_engine()?.try_into()?),
            Query::Sample => ScoringQuery::Sample(Sample::Random),
        })
    }

    fn scored<T>(&self, kind: impl FnOnce(NamedQuery<T>) -> QueryEnum, query: T) -> ScoringQuery {
        ScoringQuery::Vector(kind(NamedQuery {
            query,
            using: Some(self.stage.to_owned()),
        }))
    }

    fn nearest(&mut self, input: VectorInput) -> Result<ScoringQuery, StoreError> {
        let vector = self.vector(input)?;
        Ok(self.scored(QueryEnum::Nearest, vector))
    }

    fn mmr(
        &mut self,
        input: VectorInput,
        mmr: MmrInput,
        limit: usize,
    ) -> Result<ScoringQuery, StoreError> {
        let diversity = mmr.diversity.unwrap_or(MMR_DIVERSITY_DEFAULT);
        if !(0.0..=1.0).contains(&diversity) {
            return Err(StoreError::Invalid(
                "mmr.diversity: must be from 0.0 to 1.0".to_owned(),
            ));
        }
        let candidates_limit = mmr.candidates_limit.unwrap_or(limit);
        check_limit(candidates_limit, 0, self.resolver.limits)?;
        Ok(ScoringQuery::Mmr(Mmr {
            vector: self.vector(input)?,
            using: self.stage.to_owned(),
            lambda: OrderedFloat(1.0 - diversity),
            candidates_limit,
        }))
    }

    fn recommend(
        &mut self,
        positive: Vec<VectorInput>,
        negative: Vec<VectorInput>,
        strategy: RecommendStrategy,
    ) -> Result<ScoringQuery, StoreError> {
        let positives = self.vectors(positive)?;
        let negatives = self.vectors(negative)?;
        if positives.is_empty() && negatives.is_empty() {
            return Err(StoreError::BadInput(
                "recommend: at least one example is needed".to_owned(),
            ));
        }
        match strategy {
            RecommendStrategy::AverageVector => {
                if positives.is_empty() {
                    return Err(StoreError::BadInput(
                        "At least one positive vector ID required with this strategy".to_owned(),
                    ));
                }
                let vector = avg_vector_for_recommendation(
                    positives.iter().map(VectorRef::from),
                    negatives.iter().map(VectorRef::from).peekable(),
                )?;
                Ok(self.scored(QueryEnum::Nearest, vector))
            }
            RecommendStrategy::BestScore => Ok(self.scored(
                QueryEnum::RecommendBestScore,
                RecommendQuery::new(positives, negatives),
            )),
            RecommendStrategy::SumScores => Ok(self.scored(
                QueryEnum::RecommendSumScores,
                RecommendQuery::new(positives, negatives),
            )),
        }
    }

    fn feedback(
        &mut self,
        target: VectorInput,
        feedback: Vec<(VectorInput, f32)>,
        NaiveInput { a, b, c }: NaiveInput,
    ) -> Result<ScoringQuery, StoreError> {
        let target = self.vector(target)?;
        let feedback = feedback
            .into_iter()
            .map(|(input, score)| {
                Ok(FeedbackItem {
                    vector: self.vector(input)?,
                    score: OrderedFloat(score),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        let coefficients = NaiveFeedbackStrategy {
            a: OrderedFloat(a),
            b: OrderedFloat(b),
            c: OrderedFloat(c),
        };
        let query = FeedbackNaiveQuery {
            target,
            feedback,
            coefficients,
        };
        Ok(self.scored(QueryEnum::FeedbackNaive, query))
    }

    fn pairs(
        &mut self,
        pairs: Vec<ContextPairInput>,
    ) -> Result<Vec<ContextPair<VectorInternal>>, StoreError> {
        pairs
            .into_iter()
            .map(|pair| {
                Ok(ContextPair {
                    positive: self.vector(pair.positive)?,
                    negative: self.vector(pair.negative)?,
                })
            })
            .collect()
    }

    fn vectors(&mut self, inputs: Vec<VectorInput>) -> Result<Vec<VectorInternal>, StoreError> {
        inputs.into_iter().map(|input| self.vector(input)).collect()
    }

    fn vector(&mut self, input: VectorInput) -> Result<VectorInternal, StoreError> {
        match input {
            VectorInput::Vector(mut vector) => {
                check_vector(self.stage, &mut vector, &self.resolver.config)?;
                Ok(vector.into())
            }
            VectorInput::Id(id) => self.vector_of(id),
        }
    }

    fn vector_of(&mut self, id: PointId) -> Result<VectorInternal, StoreError> {
        let name = match &self.location {
            Some(LookupLocation {
                vector: Some(vector),
                ..
            }) => vector.as_str(),
            _ => self.stage,
        };
        let elsewhere = match &self.location {
            Some(location) => {
                let other = self.resolver.registry.get(&location.collection)?;
                (other.dir() != self.resolver.collection.dir()).then_some(other)
            }
            None => None,
        };
        let shard = elsewhere
            .as_deref()
            .unwrap_or(self.resolver.collection)
            .shard()?;
        let request = RetrieveRequest {
            point_ids: vec![id],
            with_payload: Some(WithPayloadInterface::Bool(false)),
            with_vector: Some(WithVector::Selector(vec![name.to_owned()])),
        };
        let record = shard.retrieve(request)?.into_iter().next();
        let record =
            record.ok_or_else(|| StoreError::NotFound(format!("No point with id {id} found")))?;
        let vector = record
            .get_vector_by_name(name)
            .ok_or_else(|| StoreError::BadInput(format!("point {id} has no vector `{name}`")))?;
        let vector = vector.to_owned();
        if elsewhere.is_none() {
            self.ids.extend(iter::once(id));
        }
        Ok(vector)
    }
}

/// Holds `limit` and `offset` to what one answer may hold.
pub(crate) fn check_limit(limit: usize, offset: usize, limits: &Limits) -> Result<(), StoreError> {
    if limit == 0 {
        return Err(StoreError::Invalid(
            "limit: value 0 invalid, must be 1 or larger".to_owned(),
        ));
    }
    if limit.saturating_add(offset) > limits.limit_max {
        return Err(StoreError::Invalid(format!(
            "limit plus offset: {} is more than {}",
            limit.saturating_add(offset),
            limits.limit_max
        )));
    }
    Ok(())
}
