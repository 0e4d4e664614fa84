// A small operator and a few informers, as other people's programs use a cluster: controller-runtime's manager with its
// default protobuf and WatchList, leader election, cached reads, status updates, server-side apply, finalizers, events,
// a custom resource; and client-go's shared informers and typed client beside it.
//
// Reads KUBECONFIG. Says what it saw, one line each, and ends with "all seen"; the test compares the lines.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	namespace = "operator"
	finalizer = "seaworthy.dev/guard"
	patience  = 60 * time.Second
)

var boat = schema.GroupVersionKind{Group: "seaworthy.dev", Version: "v1", Kind: "Boat"}

func main() {
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	defer stop()
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
	fmt.Println("all seen")
}

func run(ctx context.Context) error {
	conf, err := config.GetConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme)); err != nil {
		return err
	}
	direct, err := client.New(conf, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	if err := prepare(ctx, direct); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	manager, err := ctrl.NewManager(conf, ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		LeaderElection:          true,
		LeaderElectionID:        "seaworthy-test",
		LeaderElectionNamespace: namespace,
	})
	if err != nil {
		return err
	}
	operator := &reconciler{Client: manager.GetClient(), recorder: manager.GetEventRecorder("operator")}
	if err := operator.register(manager); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	select {
	case <-manager.Elected():
		fmt.Println("elected")
	case err := <-ended:
		return fmt.Errorf("the manager ended early: %w", err)
	}
	if !manager.GetCache().WaitForCacheSync(ctx) {
		return errors.New("the cache never synced")
	}
	steps := []struct {
		name string
		do   func(context.Context, client.Client, client.Client, *rest.Config) error
	}{
		{"a Deployment is reconciled into a ConfigMap", deployments},
		{"a custom resource is reconciled, its status written, its finalizer honoured", boats},
		{"a typed server-side apply conflicts and is forced", applies},
		{"a cached list sees what was written", cachedList},
		{"an update of an old version is retried", conflicts},
		{"shared informers see creations, changes and deletions", sharedInformers},
		{"events are recorded", recordedEvents},
		{"deletions by collection and with preconditions", deletions},
	}
	for _, step := range steps {
		if err := step.do(ctx, direct, manager.GetClient(), conf); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println(step.name)
	}
	return nil
}

func prepare(ctx context.Context, c client.Client) error {
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := c.Create(ctx, space); err != nil {
		return err
	}
	if err := c.Create(ctx, definition()); err != nil {
		return err
	}
	return until(ctx, "the definition is established", func() (bool, error) {
		var found apiextensionsv1.CustomResourceDefinition
		if err := c.Get(ctx, client.ObjectKey{Name: "boats.seaworthy.dev"}, &found); err != nil {
			return false, err
		}
		for _, condition := range found.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

func definition() *apiextensionsv1.CustomResourceDefinition {
	number := apiextensionsv1.JSONSchemaProps{Type: "integer", Format: "int64"}
	object := func(fields map[string]apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{Type: "object", Properties: fields}
	}
	root := object(map[string]apiextensionsv1.JSONSchemaProps{
		"spec":   object(map[string]apiextensionsv1.JSONSchemaProps{"crew": number}),
		"status": object(map[string]apiextensionsv1.JSONSchemaProps{"aboard": number}),
	})
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "boats.seaworthy.dev"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: boat.Group,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "boats", Singular: "boat", Kind: "Boat", ListKind: "BoatList"},
			Scope: apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema:       &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &root},
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			}},
		},
	}
}

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example/main:1"}}},
			},
		},
	}
}

func newBoat(name string, crew int64) *unstructured.Unstructured {
	one := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"crew": crew}}}
	one.SetGroupVersionKind(boat)
	one.SetNamespace(namespace)
	one.SetName(name)
	return one
}

func deployments(ctx context.Context, direct, _ client.Client, _ *rest.Config) error {
	if err := direct.Create(ctx, deployment("web")); err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: namespace, Name: "web-seen"}
	var seen corev1.ConfigMap
	if err := until(ctx, "the ConfigMap of the Deployment", func() (bool, error) {
		err := direct.Get(ctx, key, &seen)
		return err == nil, client.IgnoreNotFound(err)
	}); err != nil {
		return err
	}
	if owner := metav1.GetControllerOf(&seen); owner == nil || owner.Kind != "Deployment" {
		return fmt.Errorf("the ConfigMap has no controller: %v", seen.OwnerReferences)
	}
	return nil
}

func boats(ctx context.Context, direct, cached client.Client, _ *rest.Config) error {
	if err := direct.Create(ctx, newBoat("ketch", 3)); err != nil {
		return err
	}
	key, found := client.ObjectKey{Namespace: namespace, Name: "ketch"}, newBoat("ketch", 0)
	aboard := func(wanted int64) func() (bool, error) {
		return func() (bool, error) {
			if err := cached.Get(ctx, key, found); err != nil {
				return false, client.IgnoreNotFound(err)
			}
			number, _, err := unstructured.NestedInt64(found.Object, "status", "aboard")
			return number == wanted && controllerutil.ContainsFinalizer(found, finalizer), err
		}
	}
	if err := until(ctx, "the status of the boat", aboard(3)); err != nil {
		return err
	}
	if err := direct.Patch(ctx, found, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"crew":5}}`))); err != nil {
		return err
	}
	if err := until(ctx, "the new status of the boat", aboard(5)); err != nil {
		return err
	}
	if found.GetGeneration() != 2 {
		return fmt.Errorf("generation %d after one change of the spec", found.GetGeneration())
	}
	if err := direct.Delete(ctx, found); err != nil {
		return err
	}
	return until(ctx, "the boat is gone", func() (bool, error) {
		err := direct.Get(ctx, key, found)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

func applies(ctx context.Context, direct, _ client.Client, _ *rest.Config) error {
	config := func(value string) *applycorev1.ConfigMapApplyConfiguration {
		return applycorev1.ConfigMap("applied", namespace).WithData(map[string]string{"key": value})
	}
	if err := direct.Apply(ctx, config("one"), client.FieldOwner("first")); err != nil {
		return err
	}
	err := direct.Apply(ctx, config("two"), client.FieldOwner("second"))
	if !apierrors.IsConflict(err) {
		return fmt.Errorf("expected a conflict, got %v", err)
	}
	return direct.Apply(ctx, config("two"), client.FieldOwner("second"), client.ForceOwnership)
}

func cachedList(ctx context.Context, direct, cached client.Client, _ *rest.Config) error {
	for _, name := range []string{"one", "two", "three"} {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"set": "cached"}}}
		if err := direct.Create(ctx, object); err != nil {
			return err
		}
	}
	return until(ctx, "three ConfigMaps in the cache", func() (bool, error) {
		var list corev1.ConfigMapList
		err := cached.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"set": "cached"})
		return len(list.Items) == 3, err
	})
}

func conflicts(ctx context.Context, direct, _ client.Client, _ *rest.Config) error {
	key := client.ObjectKey{Namespace: namespace, Name: "one"}
	var old corev1.ConfigMap
	if err := direct.Get(ctx, key, &old); err != nil {
		return err
	}
	tries := 0
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		tries++
		current := old.DeepCopy()
		if tries == 1 {
			other := old.DeepCopy()
			other.Data = map[string]string{"other": "writer"}
			if err := direct.Update(ctx, other); err != nil {
				return err
			}
		} else if err := direct.Get(ctx, key, current); err != nil {
			return err
		}
		if current.Data == nil {
			current.Data = map[string]string{}
		}
		current.Data["mine"] = "too"
		err := direct.Update(ctx, current)
		if tries == 1 && !apierrors.IsConflict(err) {
			return fmt.Errorf("the first try should conflict: %v", err)
		}
		return err
	})
}

func sharedInformers(ctx context.Context, _, _ client.Client, conf *rest.Config) error {
	protobuf := rest.CopyConfig(conf)
	protobuf.ContentType = "application/vnd.kubernetes.protobuf"
	protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	typed, err := kubernetes.NewForConfig(protobuf)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = "set=informed" }))
	seen := make(chan string, 64)
	informer := factory.Core().V1().Secrets().Informer()
	name := func(object any) string {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		return object.(*corev1.Secret).Name
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { seen <- "add " + name(object) },
		UpdateFunc: func(_, object any) { seen <- "update " + name(object) },
		DeleteFunc: func(object any) { seen <- "delete " + name(object) },
	}); err != nil {
		return err
	}
	secrets := typed.CoreV1().Secrets(namespace)
	secret := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "informed"}}, StringData: map[string]string{"k": "v"}}
	}
	if _, err := secrets.Create(ctx, secret("before"), metav1.CreateOptions{}); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)
	for kind, synced := range factory.WaitForCacheSync(stop) {
		if !synced {
			return fmt.Errorf("%v never synced", kind)
		}
	}
	created, err := secrets.Create(ctx, secret("after"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if string(created.Data["k"]) != "v" {
		return fmt.Errorf("stringData was not taken over: %v", created.Data)
	}
	created.Data["k"] = []byte("w")
	if created, err = secrets.Update(ctx, created, metav1.UpdateOptions{}); err != nil {
		return err
	}
	// Out of the selection: for the informer it is deleted.
	created.Labels["set"] = "other"
	if _, err = secrets.Update(ctx, created, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := secrets.Delete(ctx, "before", metav1.DeleteOptions{}); err != nil {
		return err
	}
	for _, wanted := range []string{"add before", "add after", "update after", "delete after", "delete before"} {
		select {
		case got := <-seen:
			if got != wanted {
				return fmt.Errorf("saw %q instead of %q", got, wanted)
			}
		case <-time.After(patience):
			return fmt.Errorf("never saw %q", wanted)
		}
	}
	return nil
}

func recordedEvents(ctx context.Context, direct, _ client.Client, _ *rest.Config) error {
	return until(ctx, "an event of the operator", func() (bool, error) {
		var list corev1.EventList
		if err := direct.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		for _, event := range list.Items {
			if event.Reason == "Reconciled" && event.InvolvedObject.Name == "web" {
				return true, nil
			}
		}
		return false, nil
	})
}

func deletions(ctx context.Context, direct, _ client.Client, _ *rest.Config) error {
	wrong := "not-this-one"
	one := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one", Namespace: namespace}}
	err := direct.Delete(ctx, one, client.Preconditions{UID: (*typesUID)(&wrong)})
	if !apierrors.IsConflict(err) {
		return fmt.Errorf("expected a conflict, got %v", err)
	}
	options := []client.DeleteAllOfOption{client.InNamespace(namespace), client.MatchingLabels{"set": "cached"}}
	if err := direct.DeleteAllOf(ctx, &corev1.ConfigMap{}, options...); err != nil {
		return err
	}
	var list corev1.ConfigMapList
	if err := direct.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"set": "cached"}); err != nil {
		return err
	}
	if len(list.Items) != 0 {
		return fmt.Errorf("%d are left", len(list.Items))
	}
	return nil
}

// until asks again and again, because what is asked for happens in another process.
func until(ctx context.Context, what string, is func() (bool, error)) error {
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		found, err := is()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if found {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("never saw %s", what)
}
