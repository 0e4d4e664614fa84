//! The store against a model of itself: a map per revision.

use std::collections::BTreeMap;

use drydock_store::{Expect, List, Options, Store, Txn, Watch};
use futures::FutureExt as _;
use futures::StreamExt as _;
use proptest::prelude::*;

use crate::{folder, open};

/// Few, so that compaction happens all the time.
const KEEP: usize = 25;

type Model = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Put(String, u8),
    Delete(String),
    /// Several puts enqueued at once, so that they share a commit.
    Burst(Vec<(String, u8)>),
    Watch(&'static str, usize),
    Restart,
}

fn key() -> impl Strategy<Value = String> {
    (0..2_u8, 0..5_u8).prop_map(|(folder, n)| format!("{folder}/{n}"))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => key().prop_map(Step::Delete),
        2 => prop::collection::vec((key(), any::<u8>()), 1..6).prop_map(Step::Burst),
        2 => (prop_oneof![Just(""), Just("0/"), Just("1/")], 0..20_usize).prop_map(|(p, back)| Step::Watch(p, back)),
        1 => Just(Step::Restart),
    ]
}

struct World {
    store: Store,
    /// What the store held at each revision.
    history: Vec<Model>,
    watches: Vec<(&'static str, Model, u64, Watch)>,
}

impl World {
    fn now(&self) -> &Model {
        self.history.last().expect("history starts with the empty store")
    }

    async fn step(&mut self, step: Step, reopen: impl FnOnce() -> Store) {
        match step {
            Step::Put(key, value) => self.put_all(vec![(key, value)]).await,
            Step::Burst(puts) => self.put_all(puts).await,
            Step::Delete(key) => {
                let mut next = self.now().clone();
                if next.remove(&key).is_some() {
                    self.history.push(next);
                }
                let revision = self.store.write(Txn::new().delete(key, Expect::Anything)).await.unwrap();
                assert_eq!(revision as usize, self.history.len() - 1);
            }
            Step::Watch(prefix, back) => {
                let from = self.store.revision().saturating_sub(back as u64);
                match self.store.watch(prefix, from) {
                    Ok(watch) => {
                        let start = under(prefix, &self.history[from as usize]);
                        self.watches.push((prefix, start, from, watch));
                    }
                    Err(compacted) => assert!(from < compacted.floor),
                }
            }
            Step::Restart => {
                self.check_watches();
                self.watches.clear();
                self.store.close();
                self.store = reopen();
            }
        }
        self.check_lists();
        self.check_watches();
    }

    async fn put_all(&mut self, puts: Vec<(String, u8)>) {
        let mut writes = Vec::new();
        for (key, value) in puts {
            let mut next = self.now().clone();
            next.insert(key.clone(), vec![value]);
            self.history.push(next);
            writes.push(self.store.write(Txn::new().put(key, vec![value], Expect::Anything)));
        }
        for revision in futures::future::join_all(writes).await {
            assert!(revision.unwrap() < self.history.len() as u64);
        }
    }

    /// Every revision that can still be listed shows what it held, whatever the size of the pages.
    fn check_lists(&self) {
        assert_eq!(self.store.revision() as usize, self.history.len() - 1);
        assert!(self.store.revision() - self.store.floor() <= KEEP as u64, "the log is bounded");
        for at in self.store.floor()..=self.store.revision() {
            for (prefix, limit) in [("0/", None), ("0/", Some(1)), ("", Some(3))] {
                assert_eq!(
                    self.paged(prefix, limit, at),
                    under(prefix, &self.history[at as usize]),
                    "at {at}"
                );
            }
        }
        let gone = self.store.floor().checked_sub(1);
        assert!(gone.is_none_or(|at| self.store.list(List { at: Some(at), ..List::default() }).is_err()));
    }

    fn paged(&self, prefix: &str, limit: Option<usize>, at: u64) -> Model {
        let (mut listed, mut after) = (Model::new(), None::<String>);
        loop {
            let list = List { prefix, after: after.as_deref(), limit, at: Some(at) };
            let page = self.store.list(list).unwrap();
            assert_eq!(page.revision, at);
            after = page.items.last().map(|item| item.key.to_string());
            for item in page.items {
                assert!(item.entry.revision <= at);
                listed.insert(item.key.to_string(), item.entry.value.plain().into_owned());
            }
            let all = under(prefix, &self.history[at as usize]).len();
            assert_eq!(page.remaining, all - listed.len());
            if page.remaining == 0 {
                return listed;
            }
        }
    }

    /// What a watcher started with plus what it was told equals what is there, with every revision seen once.
    fn check_watches(&mut self) {
        let now = self.history.last().expect("history starts with the empty store");
        for (prefix, seen, last, watch) in &mut self.watches {
            while let Some(Some(event)) = watch.next().now_or_never() {
                let event = event.unwrap();
                assert!(event.revision > *last, "doubled or reordered");
                *last = event.revision;
                let previous = seen.get(&*event.key).cloned();
                assert_eq!(
                    event.previous.as_ref().map(|entry| entry.value.plain().into_owned()),
                    previous,
                    "lost"
                );
                match &event.value {
                    Some(value) => seen.insert(event.key.to_string(), value.plain().into_owned()),
                    None => seen.remove(&*event.key),
                };
            }
            assert_eq!(*seen, under(prefix, now));
        }
    }
}

fn under(prefix: &str, model: &Model) -> Model {
    model.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn list_plus_watch_equals_state(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = folder();
        let options = Options { keep_events: KEEP, journal_bytes: 48 << 10, ..Options::default() };
        runtime.block_on(async {
            let store = open(&folder, options.clone());
            let mut world = World { store, history: vec![Model::new()], watches: Vec::new() };
            for step in steps {
                world.step(step, || open(&folder, options.clone())).await;
            }
        });
    }
}
