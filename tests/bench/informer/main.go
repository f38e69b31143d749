// Command informer is what brim's first sync is held against: a program of client-go whose informers know all pods and nodes.
//
//	informer --kubeconfig FILE [--strip]
//
// Plain informers as most controllers have them, asking for protobuf; with --strip a transform keeps only what brim reads, too:
// names, node, phase, requests. When both informers have synced it prints one line of JSON
//
//	{"pods": N, "nodes": N, "cpu_seconds": S, "wall_seconds": S}
//
// where CPU is the process's own (getrusage) from its start, and wall is from main. It then keeps following changes, so that the
// caller can read its memory from /proc, until its standard input ends.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type result struct {
	Pods        int     `json:"pods"`
	Nodes       int     `json:"nodes"`
	CPUSeconds  float64 `json:"cpu_seconds"`
	WallSeconds float64 `json:"wall_seconds"`
}

func names(meta metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion}
}

func requests(containers []corev1.Container) []corev1.Container {
	kept := make([]corev1.Container, len(containers))
	for i, c := range containers {
		kept[i] = corev1.Container{Name: c.Name, Resources: corev1.ResourceRequirements{Requests: c.Resources.Requests}}
	}
	return kept
}

// strip keeps names and requests; a type that is neither pod nor node (a tombstone) stays as it is.
func strip(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		return &corev1.Pod{
			ObjectMeta: names(o.ObjectMeta),
			Spec: corev1.PodSpec{NodeName: o.Spec.NodeName, InitContainers: requests(o.Spec.InitContainers),
				Containers: requests(o.Spec.Containers)},
			Status: corev1.PodStatus{Phase: o.Status.Phase},
		}, nil
	case *corev1.Node:
		return &corev1.Node{ObjectMeta: names(o.ObjectMeta), Status: corev1.NodeStatus{Allocatable: o.Status.Allocatable}}, nil
	}
	return object, nil
}

func cpuSeconds() float64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		fail(err)
	}
	return float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "informer:", err)
	os.Exit(1)
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the cluster and who asks")
	stripped := flag.Bool("strip", false, "keep only names and requests")
	flag.Parse()
	began := time.Now()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fail(err)
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		fail(err)
	}
	var options []informers.SharedInformerOption
	if *stripped {
		options = append(options, informers.WithTransform(strip))
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, options...)
	pods, nodes := factory.Core().V1().Pods().Informer(), factory.Core().V1().Nodes().Informer()
	stop := make(chan struct{})
	factory.Start(stop)
	if !cache.WaitForCacheSync(stop, pods.HasSynced, nodes.HasSynced) {
		fail(fmt.Errorf("the informers did not sync"))
	}
	found := result{len(pods.GetStore().ListKeys()), len(nodes.GetStore().ListKeys()), cpuSeconds(), time.Since(began).Seconds()}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fail(err)
	}
	io.Copy(io.Discard, os.Stdin)
	close(stop)
}
