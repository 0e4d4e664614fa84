//! From nothing to a page and back to nothing.

use std::net::TcpListener;

use http::StatusCode;

use crate::program::{Program, Visitor};

#[tokio::test]
async fn one_program_is_the_whole_application_and_keeps_its_tasks() {
    let home = tempfile::tempdir().unwrap();
    let mut program = Program::start(home.path(), &[], &[]);
    let pages = program.address();
    let mut ada = Visitor::new();
    let (status, page) = ada.sign_up(&pages).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    let (status, page) =
        ada.post(&pages, &format!("{pages}/chat"), "message=add+a+task+to+buy+groceries").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    let (_, page) = ada.get(&format!("{pages}/")).await;
    assert!(page.contains("Buy groceries"), "pages, backend and MCP server found each other: {page}");
    program.interrupt();
    let ended = program.end();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    assert!(ended.out.ends_with("\nstopped\n"), "{}", ended.out);

    let mut program = Program::start(home.path(), &[], &[]);
    let pages = program.address();
    let (_, page) = ada.get(&format!("{pages}/")).await;
    assert!(page.contains("Buy groceries"), "tasks and sessions outlive the program: {page}");
    program.interrupt();
    assert_eq!(program.end().code, Some(0));
}

#[tokio::test]
async fn an_open_window_does_not_hold_it_up() {
    let home = tempfile::tempdir().unwrap();
    let mut program = Program::start(home.path(), &[], &[]);
    let pages = program.address();
    let mut ada = Visitor::new();
    ada.sign_up(&pages).await;
    let _window = ada.open_window(&pages);
    program.interrupt();
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn a_port_that_is_taken_is_told_with_the_variable_that_chooses_another() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = Program::start(home.path(), &[("BACKEND_PORT", &port)], &[]).end();
    assert_eq!(ended.code, Some(1));
    let told = format!("port {port} for the API is taken by another program");
    assert!(ended.err.contains(&told) && ended.err.contains("`BACKEND_PORT="), "{}", ended.err);
    assert!(!home.path().join(".todo").exists(), "nothing was begun");
}

#[track_caller]
fn check(settings: &[(&str, &str)], args: &[&str], code: i32, says: &str) {
    let home = tempfile::tempdir().unwrap();
    let ended = Program::start(home.path(), settings, args).end();
    let said = ended.out + &ended.err;
    assert!(ended.code == Some(code) && said.contains(says), "{:?}: {said}", ended.code);
}

#[test]
fn what_cannot_be_used_is_named() {
    check(&[("PORT", "many")], &[], 1, "`PORT` is not a port number");
    check(&[("BETTER_AUTH_SECRET", "short")], &[], 1, "`BETTER_AUTH_SECRET` has 5 characters");
    check(&[("ENVIRONMENT", "production")], &[], 1, "`DATABASE_URL` is not set");
    check(&[("TODO_DATA", "/proc/nothing")], &[], 1, "/proc/nothing");
    check(&[("DATABASE_URL", "mysql://root:hush@db")], &[], 1, "neither `postgres://` nor `sqlite:`");
    check(&[], &["serve"], 2, "`serve` means nothing here");
    check(&[], &["--help"], 0, "PORT=3001 BACKEND_PORT=8010 MCP_PORT=8011 cargo run");
}
