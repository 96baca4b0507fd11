#!/bin/sh
# Fails when code that runs per packet could allocate, lock, log, read a clock, handle strings or enter the kernel
# (STYLE 14): lists the undefined symbols of the given objects and archives, and names the forbidden ones.
#   check_hot_symbols.sh [--list] [--allow SYMBOL]… FILE.o|FILE.a…
# --list prints every undefined symbol too. --allow excuses one, by name; say why where it is called from.
set -eu

memory='(m|c|re|re(c)?)alloc(array)?|free|cfree|aligned_alloc|posix_memalign|memalign|valloc|strn?dup|alloca
mmap|munmap|madvise|brk|sbrk|rte_(m|z|c|re)alloc(_socket)?|rte_free|rte_mempool_(create|free).*|json_.*'
locks='pthread_(mutex|rwlock|spin|cond|barrier|once|create|join).*|sem_.*|flock|futex|mtx_.*|cnd_.*'
kernel='syscall|ioctl|fcntl|(p|re)?(read|write)v?|(p|re)?(read|write)v?64|open(at)?(64)?|close|socket|bind|connect
(send|recv)(to|from|m?msg)?|poll|ppoll|select|epoll_.*|eventfd.*|nanosleep|usleep|sleep|sched_yield|getpid'
clocks='clock_gettime|clock_nanosleep|clock|time|gettimeofday|localtime.*|gmtime.*|strftime|ctime.*'
text='(v|f|d|s|vs|vf|vd|sn|vsn|as|vas)?printf|__(v|f|d|s|vs|vf|vd|sn|vsn|as|vas)?printf_chk|put(s|char|c)|fput(s|c)
fwrite|fflush|perror|strerror.*|v?syslog|rte_v?log|sh_log.*|str(len|nlen|cpy|ncpy|cat|ncat|cmp|ncmp|casecmp|chr|rchr|str|tok|tok_r)
str(to[a-z]*)|ato(i|l|ll|f)|getenv|random|rand|rand_r|getrandom'
forbidden=$(printf '%s\n' "$memory" "$locks" "$kernel" "$clocks" "$text" | paste -s -d '|')

list=no
allow=
while [ $# -gt 0 ]; do
	case $1 in
	--list) list=yes; shift ;;
	--allow) allow="$allow|$2"; shift 2 ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || { echo "usage: $0 [--list] [--allow SYMBOL]... FILE.o|FILE.a..." >&2; exit 2; }

bad=0
for file; do
	[ -r "$file" ] || { echo "$file: cannot read" >&2; exit 2; }
	# without the version suffix, and without what glibc puts before the public name
	symbols=$(nm -u --format=posix -- "$file" | awk 'NF == 2 && $2 == "U" { print $1 }' |
		sed -e 's/@.*//' -e 's/^__isoc[0-9]*_//' | sort -u)
	[ "$list" = no ] || printf '%s:\n%s\n' "$file" "$(printf '%s\n' "$symbols" | sed 's/^/  /')"
	hits=$(printf '%s\n' "$symbols" | grep -E -x -- "$forbidden" | grep -E -x -v -- "-$allow" || true)
	if [ -n "$hits" ]; then
		printf '%s: forbidden in per-packet code: %s\n' "$file" "$(echo $hits)" >&2
		bad=1
	fi
done
exit $bad
