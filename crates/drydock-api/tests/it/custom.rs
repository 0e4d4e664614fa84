//! Custom kinds as their clients meet them: served at once, checked, versioned, and gone with their definition.

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::{World, world};

/// A definition in the style of real operators.
pub fn widgets() -> Value {
    let spec = json!({
        "type": "object", "required": ["size"],
        "properties": {
            "size": { "type": "integer", "minimum": 1, "maximum": 10 },
            "colour": { "type": "string", "enum": ["red", "blue"], "default": "red" },
            "replicas": { "type": "integer", "default": 1 },
            "ports": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                "items": {
                    "type": "object", "required": ["port"],
                    "properties": { "port": { "type": "integer" }, "protocol": { "type": "string", "default": "TCP" } },
                },
            },
            "extra": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    });
    let status = json!({
        "type": "object",
        "properties": { "replicas": { "type": "integer" }, "selector": { "type": "string" }, "phase": { "type": "string" } },
    });
    let schema = json!({ "type": "object", "required": ["spec"], "properties": {
        "apiVersion": { "type": "string" }, "kind": { "type": "string" }, "metadata": { "type": "object" },
        "spec": spec, "status": status,
    } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"] },
            "versions": [
                {
                    "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
                    "subresources": { "status": {}, "scale": {
                        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    } },
                    "selectableFields": [{ "jsonPath": ".spec.colour" }],
                    "additionalPrinterColumns": [
                        { "name": "Size", "type": "integer", "jsonPath": ".spec.size" },
                        { "name": "Colour", "type": "string", "jsonPath": ".spec.colour", "priority": 1 },
                        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
                    ],
                },
                {
                    "name": "v1beta1", "served": true, "storage": false, "deprecated": true,
                    "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
                },
            ],
        },
    })
}

pub fn definitions(world: &World) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Api::all_with(world.client.clone(), &ApiResource::from_gvk(&gvk))
}

fn widgets_in(world: &World, version: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("example.com", version, "Widget");
    Api::namespaced_with(world.client.clone(), "default", &ApiResource::from_gvk(&gvk))
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn widget(name: &str, spec: Value) -> DynamicObject {
    object(
        json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": name }, "spec": spec }),
    )
}

async fn world_with_widgets() -> World {
    let world = world().await;
    let made = definitions(&world).create(&PostParams::default(), &object(widgets())).await.unwrap();
    for condition in ["NamesAccepted", "Established"] {
        let conditions = made.data["status"]["conditions"].as_array().unwrap();
        assert!(conditions.iter().any(|c| c["type"] == condition && c["status"] == "True"), "{condition}");
    }
    world
}

fn refusal(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.message),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_definition_is_served_as_soon_as_it_is_created() {
    let world = world_with_widgets().await;
    let widgets = widgets_in(&world, "v1");
    let made = widgets
        .create(
            &PostParams::default(),
            &widget("a", json!({ "size": 2, "ports": [{ "port": 80 }], "odd": 1 })),
        )
        .await
        .unwrap();
    assert_eq!(
        made.data["spec"],
        json!({ "size": 2, "colour": "red", "replicas": 1, "ports": [{ "port": 80, "protocol": "TCP" }] })
    );
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(widgets.list(&ListParams::default().fields("spec.colour=red")).await.unwrap().items.len(), 1);
    assert_eq!(widgets.list(&ListParams::default().fields("spec.colour=blue")).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_value_outside_the_schema_is_refused_in_the_words_of_a_cluster() {
    let world = world_with_widgets().await;
    let error = widgets_in(&world, "v1")
        .create(&PostParams::default(), &widget("a", json!({ "size": "2", "colour": "green" })))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(error),
        "422 Widget.example.com \"a\" is invalid: [spec.colour: Unsupported value: \"green\": supported values: \"red\", \"blue\", \
         spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"]"
    );
    let error = widgets_in(&world, "v1")
        .create(
            &PostParams::default(),
            &object(json!({
                "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "a" },
            })),
        )
        .await
        .unwrap_err();
    assert_eq!(refusal(error), "422 Widget.example.com \"a\" is invalid: spec: Required value");
}

#[tokio::test]
async fn every_served_version_shows_the_same_objects() {
    let world = world_with_widgets().await;
    let made = widgets_in(&world, "v1beta1")
        .create(&PostParams::default(), &object(json!({
            "apiVersion": "example.com/v1beta1", "kind": "Widget", "metadata": { "name": "a" }, "spec": { "size": 3, "odd": 1 },
        })))
        .await
        .unwrap();
    assert_eq!(made.types.unwrap().api_version, "example.com/v1beta1");
    let shown = widgets_in(&world, "v1").get("a").await.unwrap();
    assert_eq!(shown.types.unwrap().api_version, "example.com/v1");
    assert_eq!(shown.data["spec"], json!({ "size": 3, "colour": "red", "replicas": 1 }));
}

#[tokio::test]
async fn status_and_scale_have_doors_of_their_own() {
    let world = world_with_widgets().await;
    let widgets = widgets_in(&world, "v1");
    widgets.create(&PostParams::default(), &widget("a", json!({ "size": 2 }))).await.unwrap();
    let status = json!({ "status": { "replicas": 1, "selector": "app=a" }, "spec": { "size": 9 } });
    let patched = widgets.patch_status("a", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!((patched.data["spec"]["size"].clone(), patched.metadata.generation), (json!(2), Some(1)));
    let scale = widgets
        .patch_scale("a", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "replicas": 4 } })))
        .await
        .unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(4));
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=a"));
    let shown = widgets.get("a").await.unwrap();
    assert_eq!((shown.data["spec"]["replicas"].clone(), shown.metadata.generation), (json!(4), Some(2)));
}

#[tokio::test]
async fn server_side_apply_merges_lists_by_their_keys_and_strategic_merge_is_refused() {
    let world = world_with_widgets().await;
    let widgets = widgets_in(&world, "v1");
    let apply = |manager: &str, ports: Value| {
        let config = json!({
            "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "a" }, "spec": { "size": 2, "ports": ports },
        });
        (PatchParams::apply(manager), config)
    };
    let (params, config) = apply("one", json!([{ "port": 80 }]));
    widgets.patch("a", &params, &Patch::Apply(&config)).await.unwrap();
    let (params, config) = apply("two", json!([{ "port": 81 }]));
    let both = widgets.patch("a", &params, &Patch::Apply(&config)).await.unwrap();
    assert_eq!(
        both.data["spec"]["ports"],
        json!([{ "port": 80, "protocol": "TCP" }, { "port": 81, "protocol": "TCP" }])
    );
    let error = widgets.patch("a", &PatchParams::default(), &Patch::Strategic(json!({}))).await.unwrap_err();
    assert!(refusal(error).starts_with("415 "));
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let world = world_with_widgets().await;
    let (widgets, definitions) = (widgets_in(&world, "v1"), definitions(&world));
    widgets.create(&PostParams::default(), &widget("free", json!({ "size": 2 }))).await.unwrap();
    let mut held = widget("held", json!({ "size": 2 }));
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    widgets.create(&PostParams::default(), &held).await.unwrap();
    let going =
        definitions.delete("widgets.example.com", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(going.metadata.finalizers.unwrap(), ["customresourcecleanup.apiextensions.k8s.io"]);
    let error =
        widgets.create(&PostParams::default(), &widget("late", json!({ "size": 2 }))).await.unwrap_err();
    assert_eq!(refusal(error), "405 create not allowed while custom resource definition is terminating");
    let release = json!({ "metadata": { "finalizers": null } });
    widgets.patch("held", &PatchParams::default(), &Patch::Merge(&release)).await.unwrap();
    kube::runtime::wait::await_condition(
        definitions.clone(),
        "widgets.example.com",
        kube::runtime::wait::conditions::is_deleted(&going.metadata.uid.unwrap()),
    )
    .await
    .unwrap();
    let error = widgets.list(&ListParams::default()).await.unwrap_err();
    assert!(refusal(error).starts_with("404 "));
    definitions.create(&PostParams::default(), &object(self::widgets())).await.unwrap();
    assert_eq!(widgets.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_restart_keeps_custom_kinds_and_their_objects() {
    let world = world_with_widgets().await;
    widgets_in(&world, "v1")
        .create(&PostParams::default(), &widget("a", json!({ "size": 2 })))
        .await
        .unwrap();
    let world = world.restart().await;
    let shown = widgets_in(&world, "v1").get("a").await.unwrap();
    assert_eq!(shown.data["spec"]["size"], 2);
}

#[tokio::test]
async fn names_that_are_taken_come_free_with_their_definition() {
    let world = world_with_widgets().await;
    let definitions = definitions(&world);
    let mut other = widgets();
    other["metadata"]["name"] = json!("gadgets.example.com");
    other["spec"]["names"] = json!({ "plural": "gadgets", "singular": "gadget", "kind": "Widget" });
    let refused = definitions.create(&PostParams::default(), &object(other)).await.unwrap();
    let condition = |definition: &DynamicObject, kind: &str| {
        let conditions = definition.data["status"]["conditions"].as_array().unwrap().clone();
        conditions.into_iter().find(|condition| condition["type"] == kind).unwrap()
    };
    assert_eq!(condition(&refused, "NamesAccepted")["reason"], "ListKindConflict");
    assert_eq!(condition(&refused, "Established")["status"], "False");
    let going =
        definitions.delete("widgets.example.com", &DeleteParams::default()).await.unwrap().left().unwrap();
    kube::runtime::wait::await_condition(
        definitions.clone(),
        "widgets.example.com",
        kube::runtime::wait::conditions::is_deleted(&going.metadata.uid.unwrap()),
    )
    .await
    .unwrap();
    let established = kube::runtime::wait::await_condition(
        definitions.clone(),
        "gadgets.example.com",
        |found: Option<&DynamicObject>| {
            found.is_some_and(|found| condition(found, "Established")["status"] == "True")
        },
    );
    established.await.unwrap();
}

#[tokio::test]
async fn rules_are_evaluated_on_creation_and_on_transition() {
    let world = world().await;
    let mut definition = widgets();
    definition["spec"]["versions"].as_array_mut().unwrap().pop();
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["x-kubernetes-validations"] = json!([
        { "rule": "self.replicas <= self.size", "messageExpression": "'at most ' + string(self.size) + ' replicas'" },
        { "rule": "self.colour == oldSelf.colour", "message": "colour is immutable", "fieldPath": ".colour" },
    ]);
    definitions(&world).create(&PostParams::default(), &object(definition)).await.unwrap();
    let widgets = widgets_in(&world, "v1");
    let many = widget("a", json!({ "size": 2, "replicas": 3 }));
    let error = widgets.create(&PostParams::default(), &many).await.unwrap_err();
    let expect = "422 Widget.example.com \"a\" is invalid: spec: Invalid value: at most 2 replicas";
    assert_eq!(refusal(error), expect);
    widgets.create(&PostParams::default(), &widget("a", json!({ "size": 2 }))).await.unwrap();
    let repaint = Patch::Merge(json!({ "spec": { "colour": "blue" } }));
    let error = widgets.patch("a", &PatchParams::default(), &repaint).await.unwrap_err();
    let expect = "422 Widget.example.com \"a\" is invalid: spec.colour: Invalid value: colour is immutable";
    assert_eq!(refusal(error), expect);
}

#[tokio::test]
async fn hostile_definitions_end_in_clear_errors() {
    let world = world().await;
    let refused = async |change: fn(&mut Value)| {
        let mut definition = widgets();
        change(&mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]);
        let made = definitions(&world).create(&PostParams::default(), &object(definition)).await;
        refusal(made.unwrap_err())
    };
    let pattern = refused(|fields| {
        fields["spec"] = json!({ "type": "string", "pattern": "((a{1000}){1000}){1000}" });
    });
    assert!(pattern.await.contains("must be a valid regular expression, but isn't"));
    let rule = refused(|fields| {
        let rule = format!("{}true{}", "(".repeat(5000), ")".repeat(5000));
        fields["spec"] = json!({ "type": "object", "x-kubernetes-validations": [{ "rule": rule }] });
    });
    assert!(rule.await.contains("expression recursion limit exceeded"));
    let deep = refused(|fields| {
        let nest = |inner: Value| json!({ "type": "array", "items": inner });
        fields["spec"] = (0..100).fold(json!({ "type": "string" }), |inner, _| nest(inner));
        fields["spec"]["items"]["items"] = json!({});
    });
    assert!(deep.await.contains("must not be empty for specified array items"));
}
