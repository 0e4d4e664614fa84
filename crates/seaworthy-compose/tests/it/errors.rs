//! Every error, as it is printed.

use crate::try_load;

#[track_caller]
fn check(text: &str, expect: &str) {
    let shown = match try_load(text) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.explain(),
    };
    assert_eq!(shown, expect.trim_matches('\n'), "\n{shown}\n");
}

#[test]
fn a_misspelt_key_is_refused_with_the_right_one() {
    check(
        "services:\n  web:\n    imge: nginx\n",
        "
compose.yaml:3:5: `services.web` has no key `imge`
    |
  3 |     imge: nginx
    |     ^^^^
  hint: did you mean `image`?",
    );
}

#[test]
fn a_key_that_resembles_nothing_is_refused_without_a_guess() {
    check(
        "services:\n  web:\n    image: nginx\n    frobnication: 3\n",
        "
compose.yaml:4:5: `services.web` has no key `frobnication`
    |
  4 |     frobnication: 3
    |     ^^^^^^^^^^^^",
    );
}

#[test]
fn a_syntax_error_is_shown_where_it_stands() {
    check(
        "services:\n  web:\n    image: [nginx\n    ports: 80\n",
        "
compose.yaml:4:10: this is not YAML: illegal placement of ':' indicator
    |
  4 |     ports: 80
    |          ^",
    );
}

#[test]
fn a_tab_is_named_as_what_it_is() {
    let error = try_load("services:\n\tweb:\n\t\timage: nginx\n").unwrap_err();
    assert_eq!(
        error.hint(),
        Some("YAML is indented with spaces; there is a tab here"),
        "{}",
        error.explain()
    );
}

#[test]
fn an_empty_file_is_refused() {
    check("", "compose.yaml:1:1: the file is empty");
    check("# nothing here\n", "compose.yaml:1:1: the file is empty\n    |\n  1 | # nothing here\n    | ^");
}

#[test]
fn a_file_without_services_is_refused() {
    check(
        "volumes: {data: }\n",
        "
compose.yaml:1:1: the file has no services
    |
  1 | volumes: {data: }
    | ^",
    );
}

#[test]
fn a_list_in_place_of_a_mapping_is_refused() {
    check(
        "- services\n",
        "
compose.yaml:1:1: `the file` must be a mapping, and is a list
    |
  1 | - services
    | ^",
    );
}

#[test]
fn a_service_that_is_one_value_is_refused() {
    check(
        "services:\n  web: nginx\n",
        "
compose.yaml:2:8: `services.web` must be a mapping, and is a single value
    |
  2 |   web: nginx
    |        ^^^^^",
    );
}

#[test]
fn a_key_that_is_there_twice_is_refused_at_the_second_place() {
    check(
        "services:\n  web:\n    image: a\n    image: b\n",
        "
compose.yaml:4:5: the key `image` is there twice
    |
  4 |     image: b
    |     ^^^^^",
    );
}

#[test]
fn a_missing_variable_is_named_with_where_to_set_it() {
    check(
        "services:\n  web:\n    image: nginx:${TAG}\n",
        "
compose.yaml:3:18: the variable `TAG` is not set
    |
  3 |     image: nginx:${TAG}
    |                  ^^^^^^
  hint: set it in `.env` or in the environment",
    );
}

#[test]
fn a_missing_secret_may_also_be_generated() {
    check(
        "services:\n  db:\n    image: postgres\n    environment:\n      - POSTGRES_PASSWORD=${POSTGRES_PASSWORD:?choose one}\n",
        "
compose.yaml:5:27: the variable `POSTGRES_PASSWORD` is not set: choose one
    |
  5 |       - POSTGRES_PASSWORD=${POSTGRES_PASSWORD:?choose one}
    |                           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: set it in `.env` or in the environment, or list it under `x-seaworthy: generate` for a random value",
    );
}

#[test]
fn a_generated_variable_in_the_name_of_an_image_is_refused() {
    check(
        "x-seaworthy: {generate: [PW]}\nservices:\n  r:\n    image: redis:${PW}\n",
        "
compose.yaml:4:18: `PW` is generated when the app is installed, so it cannot stand here
    |
  4 |     image: redis:${PW}
    |                  ^^^^^
  hint: use it in `environment`, `command`, `healthcheck` or the `content` of a config",
    );
}

#[test]
fn a_lone_dollar_sign_is_refused_with_how_to_write_one() {
    check(
        "services:\n  web:\n    image: nginx\n    command: \"echo $ 5\"\n",
        "
compose.yaml:4:20: `$` is not a reference to a variable
    |
  4 |     command: \"echo $ 5\"
    |                    ^
  hint: write `${NAME}` for a variable and `$$` for a dollar sign",
    );
}

#[test]
fn two_services_on_one_port_are_both_named() {
    check(
        "services:\n  web:\n    image: a\n    ports: ['8080:80']\n  admin:\n    image: b\n    ports: ['8080:81']\n",
        "
compose.yaml:7:12: the services `web` and `admin` both publish port 8080 of this machine
    |
  7 |     ports: ['8080:81']
    |            ^
  hint: publish another one, for example `8081:81`",
    );
}

#[test]
fn a_cycle_of_dependencies_is_printed_whole() {
    check(
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
        "
compose.yaml:2:30: the services wait for each other: a -> b -> c -> a
    |
  2 |   a: {image: x, depends_on: [b]}
    |                              ^
  hint: remove one of these `depends_on`; readiness makes services wait by themselves",
    );
}

#[test]
fn a_dependency_on_nothing_is_refused_with_a_guess() {
    check(
        "services:\n  web:\n    image: x\n    depends_on:\n      - rediss\n  redis:\n    image: redis\n",
        "
compose.yaml:5:9: `web` depends on `rediss`, which is not a service
    |
  5 |       - rediss
    |         ^^^^^^
  hint: did you mean `redis`?",
    );
}

#[test]
fn a_dependency_in_a_sleeping_profile_says_so() {
    check(
        "services:\n  web: {image: x, depends_on: [db]}\n  db: {image: y, profiles: [data]}\n",
        "
compose.yaml:2:32: `web` depends on `db`, which is not a service
    |
  2 |   web: {image: x, depends_on: [db]}
    |                                ^^
  hint: `db` belongs to a profile that is not active; name it with `--profile`",
    );
}

#[test]
fn an_undefined_volume_is_refused() {
    check(
        "services:\n  db:\n    image: x\n    volumes:\n      - data:/data\n",
        "
compose.yaml:5:9: `db` uses the volume `data`, which the file does not define
    |
  5 |       - data:/data
    |         ^^^^^^^^^^
  hint: add it under `volumes:` at the top of the file",
    );
}

#[test]
fn an_undefined_secret_is_refused_with_a_guess() {
    check(
        "services:\n  db: {image: x, secrets: [tokn]}\nsecrets:\n  token: {environment: SET}\n",
        "
compose.yaml:2:28: `db` uses the secret `tokn`, which the file does not define
    |
  2 |   db: {image: x, secrets: [tokn]}
    |                            ^^^^
  hint: did you mean `token`?",
    );
}

#[test]
fn an_undefined_network_is_refused() {
    check(
        "services:\n  db: {image: x, networks: [back]}\n",
        "
compose.yaml:2:29: `db` uses the network `back`, which the file does not define
    |
  2 |   db: {image: x, networks: [back]}
    |                             ^^^^
  hint: add it under `networks:` at the top of the file",
    );
}

#[test]
fn a_service_without_an_image_is_refused() {
    check(
        "services:\n  web:\n    ports: ['80']\n",
        "
compose.yaml:2:3: the service `web` has neither `image` nor `build`
    |
  2 |   web:
    |   ^^^
  hint: add `image: name:tag`, or `build: folder`",
    );
}

#[test]
fn a_port_that_is_none_is_refused() {
    check(
        "services:\n  web:\n    image: x\n    ports:\n      - 'http'\n",
        "
compose.yaml:5:9: `services.web.ports` must be a port such as `8080:80`, `80`, `127.0.0.1:8080:80` or `53:53/udp`, and is `http`
    |
  5 |       - 'http'
    |         ^^^^^^",
    );
}

#[test]
fn a_name_kubernetes_cannot_use_is_refused_with_one_it_can() {
    check(
        "services:\n  my_web: {image: x}\n",
        "
compose.yaml:2:3: `my_web` is not a name for a service
    |
  2 |   my_web: {image: x}
    |   ^^^^^^
  hint: `my-web` would do",
    );
}

#[test]
fn a_service_that_extends_itself_is_refused() {
    check(
        "services:\n  a: {extends: {service: b}}\n  b: {extends: {service: a}}\n",
        "
compose.yaml:2:7: `a` extends `b`, which leads back to itself
    |
  2 |   a: {extends: {service: b}}
    |       ^^^^^^^",
    );
}

#[test]
fn a_missing_env_file_is_told_at_its_line() {
    let error = try_load("services:\n  web:\n    image: x\n    env_file: none.env\n").unwrap_err();
    let at = error.at().expect("a place");
    assert_eq!((at.line, at.column), (4, 15));
    assert!(error.to_string().contains("cannot read"), "{error}");
    assert!(error.explain().contains("\n  because: No such file"), "{}", error.explain());
}

#[test]
fn a_broken_line_of_dotenv_is_named_but_not_shown() {
    check(
        "services: {web: {image: x}}\n\n== .env\nA=1\nhunter2 is my password",
        ".env:2:1: this is not YAML: a line must read `NAME=value`",
    );
}

#[test]
fn an_error_on_the_line_of_a_secret_does_not_show_the_secret() {
    check(
        "services:\n  db:\n    image: x\n    environment:\n      DB_PASSWORD: hunter2 ${NO}\n",
        "
compose.yaml:5:28: the variable `NO` is not set
    |
  5 |       DB_PASSWORD: ******* *****
    |                            ^^^^^
  hint: set it in `.env` or in the environment",
    );
    let error = try_load("services:\n  db: {environment: {DB_PASSWORD: hunter2: x}}\n").unwrap_err();
    assert!(!error.explain().contains("hunter2"), "{}", error.explain());
}

#[test]
fn a_folder_without_a_file_says_which_names_are_looked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = crate::load_from(folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("no Compose file in"), "{error}");
    assert!(error.hint().expect("a hint").contains("docker-compose.yml"));
}

#[test]
fn a_file_that_explodes_through_its_aliases_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let error = try_load(&text).unwrap_err();
    assert!(error.to_string().contains("once its aliases are written out"), "{error}");
}

#[test]
fn a_file_that_nests_without_end_is_refused() {
    let error = try_load(&"[".repeat(100)).unwrap_err();
    assert!(error.to_string().contains("deeper than 64 levels"), "{error}");
    assert!(try_load(&"[".repeat(100_000)).is_err());
    assert!(try_load(&"- ".repeat(100_000)).is_err());
    assert!(try_load(&"{a: ".repeat(100_000)).is_err());
}
