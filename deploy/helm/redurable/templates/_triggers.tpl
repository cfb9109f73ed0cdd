{{/* The triggers of a ScaledObject. Each takes (list root name pool). */}}

{{/* What of a hub the pool serves, as a query of /scaler. */}}
{{- define "redurable.scalerQuery" -}}
{{- $pool := . -}}
{{- $words := list -}}
{{- range $pool.roles }}{{ $words = append $words (printf "role=%s" .) }}{{ end -}}
{{- range $pool.taskQueues }}{{ $words = append $words (printf "taskQueue=%s" (urlquery .)) }}{{ end -}}
{{- if $words }}?{{ join "&" $words }}{{ end -}}
{{- end -}}

{{- define "redurable.trigger.scaler" -}}
{{- $root := index . 0 -}}
{{- $keda := (index . 2).autoscaling.keda -}}
- type: metrics-api
  metadata:
    url: {{ printf "http://%s-api.%s.svc:%d/scaler%s" (include "redurable.fullname" $root) $root.Release.Namespace (int $root.Values.api.service.port) (include "redurable.scalerQuery" (index . 2)) | quote }}
    format: json
    valueLocation: "@this"
    targetValue: {{ $keda.targetPerPod | quote }}
    activationTargetValue: {{ $keda.activationTarget | quote }}
    authMode: apiKey
    method: header
    keyParamName: x-functions-key
  authenticationRef:
    name: {{ include "redurable.fullname" $root }}-scaler
{{- end -}}

{{/* What waits and runs in the whole hub, and timers that are due. One worker tells; max by bridges a change of it. */}}
{{- define "redurable.backlogQuery" -}}
{{- $hub := printf "{hub=%q}" .Values.hub.name -}}
sum(max by (queue) (redurable_stream_lag_messages{{ $hub }} + redurable_stream_pending_messages{{ $hub }})) + max(redurable_timers_due{{ $hub }})
{{- end -}}

{{- define "redurable.trigger.prometheus" -}}
{{- $root := index . 0 -}}
{{- $keda := (index . 2).autoscaling.keda -}}
- type: prometheus
  metadata:
    serverAddress: {{ required (printf "workers.%s: autoscaling.keda.prometheusServer is missing: the address of Prometheus" (index . 1)) $keda.prometheusServer | quote }}
    query: {{ default (include "redurable.backlogQuery" $root) $keda.query | quote }}
    threshold: {{ $keda.targetPerPod | quote }}
    activationThreshold: {{ $keda.activationTarget | quote }}
{{- end -}}

{{/* One trigger for a stream: the ready stream or the task queues of every partition. The HPA goes by the one that wants
the most pods, and work is spread over the partitions: a stream is due its share of the target. */}}
{{- define "redurable.trigger.redis-streams" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $keda := $pool.autoscaling.keda -}}
{{- $address := required (printf "workers.%s: autoscaling.keda.redisAddress is missing: host:port of the server" $name) $keda.redisAddress -}}
{{- $streams := list -}}
{{- if or (not $pool.roles) (has "orchestrations" $pool.roles) }}{{ $streams = append $streams "ready" }}{{ end -}}
{{- if or (not $pool.roles) (has "activities" $pool.roles) -}}
{{- range default (list "default") $pool.taskQueues }}{{ $streams = append $streams (printf "tasks:%s" .) }}{{ end -}}
{{- end -}}
{{- range $number := until (int $root.Values.hub.partitions) }}
{{- range $streams }}
- type: redis-streams
  metadata:
    address: {{ $address | quote }}
    stream: {{ printf "rd:{%s:p%d}:%s" $root.Values.hub.name $number . | quote }}
    consumerGroup: w
    lagCount: {{ divf $keda.targetPerPod $root.Values.hub.partitions | ceil | int | quote }}
    activationLagCount: {{ div $keda.activationTarget $root.Values.hub.partitions | quote }}
    {{- /* KEDA reads these from the environment of the pool's container. */}}
    {{- if $root.Values.redis.username }}
    usernameFromEnv: REDURABLE_REDIS_USERNAME
    {{- end }}
    {{- if $root.Values.redis.existingSecret.passwordKey }}
    passwordFromEnv: REDURABLE_REDIS_PASSWORD
    {{- end }}
    {{- if or (hasPrefix "rediss:" $root.Values.redis.url) $root.Values.redis.tls.ca.name }}
    enableTLS: "true"
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}
