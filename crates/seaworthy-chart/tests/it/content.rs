//! What the files of a chart say.

use crate::{TODO, app, chart, file};
use seaworthy_chart::{ImageValue, Options, generate, install_values};

#[test]
fn each_component_has_a_folder_with_what_it_needs() {
    let paths: Vec<String> = chart(TODO)
        .files
        .keys()
        .map(|path| path.display().to_string())
        .filter(|path| path.contains('/'))
        .collect();
    assert_eq!(
        paths.join("\n"),
        "\
templates/NOTES.txt
templates/_helpers.tpl
templates/backend/configmap.yaml
templates/backend/deployment.yaml
templates/backend/hpa.yaml
templates/backend/pdb.yaml
templates/backend/service.yaml
templates/backend/serviceaccount.yaml
templates/frontend/configmap.yaml
templates/frontend/deployment.yaml
templates/frontend/hpa.yaml
templates/frontend/pdb.yaml
templates/frontend/service.yaml
templates/frontend/serviceaccount.yaml
templates/ingress.yaml
templates/mcp-server/configmap.yaml
templates/mcp-server/deployment.yaml
templates/mcp-server/hpa.yaml
templates/mcp-server/pdb.yaml
templates/mcp-server/service.yaml
templates/mcp-server/serviceaccount.yaml
templates/postgres/configmap.yaml
templates/postgres/service.yaml
templates/postgres/serviceaccount.yaml
templates/postgres/statefulset.yaml
templates/redis/configmap.yaml
templates/redis/service.yaml
templates/redis/serviceaccount.yaml
templates/redis/statefulset.yaml"
    );
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    assert_eq!(chart(TODO), chart(TODO));
}

#[test]
fn no_value_of_a_secret_is_in_any_file() {
    let compose = "services:\n  web:\n    image: x\n    environment:\n      API_KEY: hunter2\n      DATABASE_URL: postgres://u:hunter2@db/x\n    secrets: [token]\nsecrets:\n  token: {file: ./token}\n";
    let app = app(compose, &[("token", "hunter2")]);
    for (path, text) in generate(&app, &Options::default()).files {
        assert!(!text.contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn template_code_in_a_compose_file_stays_text() {
    let compose = "services:\n  web:\n    image: x\n    command: ['{{ .Release.Name }}']\n    environment: {A: '{{ fail \"x\" }}'}\n    tmpfs: ['/{{ fail \"y\" }}']\n";
    let chart = chart(compose);
    for (path, text) in chart.files.iter().filter(|(path, _)| path.starts_with("templates")) {
        assert!(!text.contains("{{ fail"), "{}: {text}", path.display());
    }
}

#[test]
fn values_of_an_installation_name_images_and_the_state_of_the_secret() {
    let image = ImageValue { repository: "todo-mcp-server".into(), tag: "abc".into() };
    let values = install_values(&[("mcp-server".to_owned(), image)].into(), "0f");
    assert_eq!(
        values.to_string(),
        r#"{"mcpServer":{"image":{"repository":"todo-mcp-server","tag":"abc"}},"secretChecksum":"0f"}"#
    );
}

#[test]
fn what_was_guessed_is_told() {
    let chart = chart("services:\n  proxy: {image: nginx, ports: ['80:80']}\n");
    assert_eq!(
        chart.notes,
        [
            "`proxy` keeps the user of its image; state `user: \"1000:1000\"` if it can run without root",
            "`proxy` has default requests and limits; state `deploy.resources` for its own",
        ]
    );
    assert!(file(&chart, "README.md").contains("## Worth a look"));
}
