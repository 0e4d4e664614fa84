package main

import (
	"bytes"
	"encoding/json"
	kj "k8s.io/apimachinery/pkg/util/json"
)

// int64 for whole numbers, as the API server decodes
func decode(d *json.Decoder, r *request) error {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return err
	}
	var m map[string]interface{}
	if err := kj.Unmarshal(bytes.TrimSpace(raw), &m); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, r); err != nil {
		return err
	}
	if v, ok := m["live"].(map[string]interface{}); ok {
		r.Live = v
	}
	if v, ok := m["patch"].(map[string]interface{}); ok {
		r.Patch = v
	}
	if st, ok := m["steps"].([]interface{}); ok {
		for i := range st {
			if o, ok := st[i].(map[string]interface{})["object"].(map[string]interface{}); ok {
				r.Steps[i].Object = o
			}
		}
	}
	return nil
}
