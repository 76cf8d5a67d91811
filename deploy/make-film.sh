#!/usr/bin/env bash
# Makes the sample film of the box, deploy/content/film/, with ffmpeg from pictures and tones of its own: an HLS ladder
# of two renditions, H.264 and AAC, fMP4 segments of 4 s, each independent. Run once; the result lies in the repository.
set -euo pipefail
cd "$(dirname "$0")/content"
rm -rf film
mkdir -p film

seconds=64
rate=25
# Three scenes under a running clock; a beep at each second, so that a gap in playback is seen and heard.
ffmpeg -v error -y \
  -f lavfi -i "testsrc2=size=640x360:rate=$rate:duration=24" \
  -f lavfi -i "mandelbrot=size=640x360:rate=$rate:maxiter=200,trim=duration=16" \
  -f lavfi -i "smptehdbars=size=640x360:rate=$rate:duration=24" \
  -f lavfi -i "sine=frequency=330:beep_factor=4:sample_rate=48000:duration=$seconds" \
  -filter_complex "
    [0:v][1:v][2:v]concat=n=3:v=1:a=0,setpts=PTS-STARTPTS,
    drawtext=text='nearcast  %{pts\:hms}':fontsize=28:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=8:x=(w-tw)/2:y=h-th-24,
    format=yuv420p,split=2[high][v1];
    [v1]scale=426:240:flags=area[low];
    [3:a]aformat=channel_layouts=stereo,asplit=2[a0][a1]" \
  -map '[high]' -map '[a0]' -map '[low]' -map '[a1]' \
  -c:v libx264 -preset slow -profile:v main -level:v 3.1 -r $rate \
  -g $((rate * 4)) -keyint_min $((rate * 4)) -sc_threshold 0 -flags +cgop \
  -b:v:0 420k -maxrate:v:0 500k -bufsize:v:0 800k \
  -b:v:1 160k -maxrate:v:1 200k -bufsize:v:1 320k \
  -c:a aac -b:a 48k -ac 2 -ar 48000 -t $seconds \
  -f hls -hls_time 4 -hls_playlist_type vod -hls_segment_type fmp4 -hls_flags independent_segments \
  -hls_fmp4_init_filename 'init.mp4' -hls_segment_filename 'film/%v/segment-%02d.m4s' \
  -master_pl_name master.m3u8 -var_stream_map 'v:0,a:0,name:360p v:1,a:1,name:240p' \
  'film/%v/index.m3u8'

# ffmpeg names the encoder's targets as BANDWIDTH; RFC 8216 §4.3.4.2 wants the peak of the segments.
peak() { stat -c %s "film/$1"/segment-*.m4s | sort -n | tail -1 | awk '{ print $1 * 8 / 4 }'; }
average() { stat -c %s "film/$1"/segment-*.m4s | awk -v seconds=$seconds '{ bytes += $1 } END { print int(bytes * 8 / seconds) }'; }
codecs=$(grep -o 'CODECS="[^"]*"' film/master.m3u8 | sort -u)
{
  printf '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n'
  for rendition in 360p:640x360 240p:426x240; do
    name=${rendition%%:*}
    printf '#EXT-X-STREAM-INF:BANDWIDTH=%s,AVERAGE-BANDWIDTH=%s,RESOLUTION=%s,FRAME-RATE=%s.000,%s\n%s/index.m3u8\n' \
      "$(peak "$name")" "$(average "$name")" "${rendition##*:}" "$rate" "$codecs" "$name"
  done
} > film/master.new
mv film/master.new film/master.m3u8
cat film/master.m3u8
du -sh film
