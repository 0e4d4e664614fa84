//! Preconditions, watches that fall behind, and revisions that are gone.

use drydock_store::{Compacted, Expect, Lagged, List, Options, Txn, WriteError};
use futures::StreamExt as _;

use crate::{folder, open, put};

#[tokio::test]
async fn a_transaction_happens_completely_or_not_at_all() {
    let folder = folder();
    let store = open(&folder, Options::default());
    let at = put(&store, "a", "1").await;
    let refused = Txn::new().put("b", "2", Expect::Absent).put("a", "2", Expect::At(at + 7));
    let error = store.write(refused).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { actual: Some(found), .. } if found == at), "{error:?}");
    assert_eq!(store.get("b"), None);
    let both =
        Txn::new().put("b", "2", Expect::Absent).put("a", "2", Expect::At(at)).check("b", Expect::Absent);
    assert_eq!(store.write(both).await.unwrap(), at + 2);
}

#[tokio::test]
async fn of_many_writers_at_one_revision_exactly_one_wins() {
    let folder = folder();
    let store = open(&folder, Options::default());
    let at = put(&store, "a", "0").await;
    let tries = (0..50).map(|n| store.write(Txn::new().put("a", n.to_string(), Expect::At(at))));
    let won = futures::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_watcher_that_does_not_keep_up_gets_what_it_had_and_then_lagged() {
    let folder = folder();
    let store = open(&folder, Options { watch_queue: 3, ..Options::default() });
    let mut slow = store.watch("a/", store.revision()).unwrap();
    let mut other = store.watch("b/", store.revision()).unwrap();
    for n in 0..5 {
        put(&store, "a/x", &n.to_string()).await;
    }
    put(&store, "b/x", "fine").await;
    for _ in 0..3 {
        assert!(slow.next().await.unwrap().is_ok());
    }
    assert!(matches!(slow.next().await, Some(Err(Lagged))));
    assert!(slow.next().await.is_none());
    assert!(other.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn progress_is_known_only_when_nothing_waits() {
    let folder = folder();
    let store = open(&folder, Options::default());
    let mut watch = store.watch("a/", 0).unwrap();
    let unrelated = put(&store, "b/x", "1").await;
    assert_eq!(watch.progress(), Some(unrelated));
    let ours = put(&store, "a/x", "1").await;
    assert_eq!(watch.progress(), None);
    watch.next().await.unwrap().unwrap();
    assert_eq!(watch.progress(), Some(ours));
}

#[tokio::test]
async fn compaction_keeps_the_newest_events_and_refuses_older_revisions() {
    let folder = folder();
    let store = open(&folder, Options { keep_events: 10, ..Options::default() });
    for n in 0..40 {
        put(&store, "a", &n.to_string()).await;
    }
    assert_eq!((store.revision(), store.floor()), (40, 30));
    assert_eq!(store.watch("a", 29).unwrap_err(), Compacted { requested: 29, floor: 30 });
    assert!(store.list(List { prefix: "", at: Some(29), ..List::default() }).is_err());
    assert_eq!(store.watch("a", 30).unwrap().take(10).count().await, 10);
    store.close();
    let store = open(&folder, Options::default());
    assert_eq!((store.revision(), store.floor()), (40, 30));
}

#[tokio::test]
async fn pages_of_one_list_show_one_revision() {
    let folder = folder();
    let store = open(&folder, Options::default());
    for key in ["a/1", "a/2", "a/3", "a/4", "b/1"] {
        put(&store, key, "old").await;
    }
    let first = store.list(List { prefix: "a/", limit: Some(2), ..List::default() }).unwrap();
    assert_eq!((first.items.len(), first.remaining), (2, 2));
    put(&store, "a/3", "new").await;
    put(&store, "a/5", "new").await;
    store.write(Txn::new().delete("a/4", Expect::Present)).await.unwrap();
    let rest = List { prefix: "a/", after: Some("a/2"), limit: Some(9), at: Some(first.revision) };
    let rest = store.list(rest).unwrap();
    let seen: Vec<_> =
        rest.items.iter().map(|item| (&*item.key, item.entry.value.plain().into_owned())).collect();
    assert_eq!(seen, [("a/3", b"old".to_vec()), ("a/4", b"old".to_vec())]);
    assert_eq!((rest.remaining, rest.revision), (0, first.revision));
}
