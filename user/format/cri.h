// The log format of Kubernetes' container runtimes: `<RFC3339Nano> <stdout|stderr> <P|F> <text>`
// (kubernetes pkg/kubelet/kuberuntime/logs, containerd internal/cri/io/logger.go), and its layout
// of directories (kubernetes pkg/kubelet/kuberuntime/helpers.go).
#pragma once

#include "format/log_format.h"

namespace twinlog {

const LogFormat& cri_format();

}  // namespace twinlog
