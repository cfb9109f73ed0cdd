{{/* Takes (list root name pool): the pool with the defaults filled in, checked, as YAML. */}}
{{- define "redurable.pool" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $pool := mergeOverwrite (deepCopy $root.Values.workerDefaults) (index . 2) -}}
{{- $auto := $pool.autoscaling -}}
{{- if eq $name "api" -}}
{{- fail "workers.api: a pool cannot be named api, as the API's objects are: choose another name" -}}
{{- end -}}
{{- if or (hasKey $pool.settings "drain_timeout_ms") (hasKey $root.Values.settings "drain_timeout_ms") -}}
{{- fail (printf "workers.%s: the pod's time to stop depends on settings.drain_timeout_ms: set drain.timeoutSeconds instead" $name) -}}
{{- end -}}
{{- if and (ne $auto.type "none") (hasKey (index . 2) "replicas") -}}
{{- fail (printf "workers.%s: its autoscaling.type is %s, so replicas would be overwritten: leave replicas out, and set autoscaling.minReplicas" $name $auto.type) -}}
{{- end -}}
{{- if gt (int $auto.minReplicas) (int $auto.maxReplicas) -}}
{{- fail (printf "workers.%s: autoscaling.minReplicas %d is above maxReplicas %d" $name (int $auto.minReplicas) (int $auto.maxReplicas)) -}}
{{- end -}}
{{- if and (eq $auto.type "hpa") (lt (int $auto.minReplicas) 1) -}}
{{- fail (printf "workers.%s: a plain HPA cannot wake a pool from 0: set autoscaling.minReplicas to 1 or more" $name) -}}
{{- end -}}
{{- if and (eq $auto.type "keda") (lt (int $auto.minReplicas) 1) -}}
{{- if not (has $auto.keda.wakeUp (list "scaler" "cron")) -}}
{{- fail (printf "workers.%s: without pods no timer fires and nobody routes the intake: set autoscaling.minReplicas to 1, or say with keda.wakeUp what wakes the pool: scaler or cron" $name) -}}
{{- end -}}
{{- if and (eq $auto.keda.wakeUp "scaler") (or (ne $auto.keda.trigger "scaler") (not $root.Values.api.enabled)) -}}
{{- fail (printf "workers.%s: keda.wakeUp scaler needs keda.trigger scaler and api.enabled" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $auto.type "keda") (eq $auto.keda.trigger "scaler") (not $root.Values.api.enabled) -}}
{{- fail (printf "workers.%s: keda.trigger scaler asks the API: set api.enabled to true, or choose another trigger" $name) -}}
{{- end -}}
{{- toYaml $pool -}}
{{- end -}}

{{/* Takes (list root name): the labels that a pool's selectors use. */}}
{{- define "redurable.poolSelector" -}}
{{ include "redurable.selectorLabels" (index . 0) }}
app.kubernetes.io/component: worker
redurable/pool: {{ index . 1 | quote }}
{{- end -}}

{{/* Takes (list root name pool): the command line of `redurable worker`. */}}
{{- define "redurable.workerArgs" -}}
{{- $pool := index . 2 -}}
- worker
- {{ required (printf "workers.%s.app: say which app the pool runs, for example orders:app" (index . 1)) $pool.app | quote }}
{{- range $pool.roles }}
- --roles={{ . }}
{{- end }}
{{- range $pool.taskQueues }}
- {{ printf "--task-queue=%s" . | quote }}
{{- end }}
- --metrics-port={{ $pool.metricsPort }}
{{- range $pool.args }}
- {{ . | quote }}
{{- end }}
{{- end -}}
