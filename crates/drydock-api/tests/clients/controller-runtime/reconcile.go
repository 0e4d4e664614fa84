package main

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

type typesUID = types.UID

type reconciler struct {
	client.Client
	recorder events.EventRecorder
}

func (r *reconciler) register(manager ctrl.Manager) error {
	custom := &unstructured.Unstructured{}
	custom.SetGroupVersionKind(boat)
	if err := ctrl.NewControllerManagedBy(manager).Named("boats").For(custom).Complete(inner(r.boat)); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(manager).Named("deployments").For(&appsv1.Deployment{}).
		Owns(&corev1.ConfigMap{}).Complete(inner(r.deployment))
}

type inner func(context.Context, ctrl.Request) (ctrl.Result, error)

func (f inner) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return f(ctx, request)
}

// deployment keeps a ConfigMap for each Deployment and says so in an event.
func (r *reconciler) deployment(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var found appsv1.Deployment
	if err := r.Get(ctx, request.NamespacedName, &found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	seen := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: found.Name + "-seen", Namespace: found.Namespace}}
	outcome, err := controllerutil.CreateOrUpdate(ctx, r.Client, seen, func() error {
		seen.Data = map[string]string{"image": found.Spec.Template.Spec.Containers[0].Image}
		return controllerutil.SetControllerReference(&found, seen, r.Scheme())
	})
	if err == nil && outcome != controllerutil.OperationResultNone {
		r.recorder.Eventf(&found, nil, corev1.EventTypeNormal, "Reconciled", "Reconcile", "the ConfigMap was %s", outcome)
	}
	return ctrl.Result{}, err
}

// boat writes the status of a boat and guards it with a finalizer.
func (r *reconciler) boat(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(boat)
	if err := r.Get(ctx, request.NamespacedName, found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !found.GetDeletionTimestamp().IsZero() {
		controllerutil.RemoveFinalizer(found, finalizer)
		return ctrl.Result{}, r.Update(ctx, found)
	}
	if controllerutil.AddFinalizer(found, finalizer) {
		return ctrl.Result{}, r.Update(ctx, found)
	}
	crew, _, err := unstructured.NestedInt64(found.Object, "spec", "crew")
	if err != nil {
		return ctrl.Result{}, err
	}
	if aboard, _, _ := unstructured.NestedInt64(found.Object, "status", "aboard"); aboard == crew {
		return ctrl.Result{}, nil
	}
	if err := unstructured.SetNestedField(found.Object, crew, "status", "aboard"); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.Status().Update(ctx, found)
}
