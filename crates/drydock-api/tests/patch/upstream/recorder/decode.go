package main

import (
	"bytes"
	"encoding/json"

	kubejson "k8s.io/apimachinery/pkg/util/json"
)

// decode reads objects with whole numbers as int64, as an API server does.
func decode(d *json.Decoder, r *request) error {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return err
	}
	var objects map[string]interface{}
	if err := kubejson.Unmarshal(bytes.TrimSpace(raw), &objects); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, r); err != nil {
		return err
	}
	if live, ok := objects["live"].(map[string]interface{}); ok {
		r.Live = live
	}
	if patch, ok := objects["patch"].(map[string]interface{}); ok {
		r.Patch = patch
	}
	steps, _ := objects["steps"].([]interface{})
	for i := range steps {
		if object, ok := steps[i].(map[string]interface{})["object"].(map[string]interface{}); ok {
			r.Steps[i].Object = object
		}
	}
	return nil
}
