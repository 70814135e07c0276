// An oddroad detector in C++: the regions that `oddroad detect --engine openvino` finds in a picture.
//
//   detect MODEL.onnx PICTURE.ppm [THRESHOLD]
//
// MODEL.onnx is a detector that `oddroad export` wrote: resizing, normalisation and the score are inside, its threshold
// and what ordinary pixels score are in its card, which is JSON text in the file. PICTURE.ppm is binary RGB ("P6").
// One line a region, the largest first: x0 y0 x1 y1 (the last two outside), area in pixels, mean and peak score.
// It is built with the C++ files that `pip install openvino` brings; see CMakeLists.txt.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <openvino/openvino.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct Picture {
    size_t width = 0, height = 0;
    std::vector<uint8_t> pixels;  // RGB, row by row
};

struct Region {
    size_t x0, y0, x1, y1, area, largest;  // largest: pixels of its largest part
    double sum;
    float peak;
};

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read '" + path + "'");
    return {std::istreambuf_iterator<char>(file), {}};
}

Picture read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    Picture found;
    int most = 0;
    file >> magic >> found.width >> found.height >> most;
    file.get();
    if (!file || magic != "P6" || most != 255 || found.width == 0 || found.height == 0)
        throw std::runtime_error("'" + path + "' is no binary PPM of 8 bits; convert it to one");
    found.pixels.resize(found.width * found.height * 3);
    file.read(reinterpret_cast<char*>(found.pixels.data()), static_cast<std::streamsize>(found.pixels.size()));
    if (!file) throw std::runtime_error("'" + path + "' is cut short");
    return found;
}

// The place behind several texts that follow each other in the card; npos if one is missing.
size_t behind(const std::string& card, const std::vector<std::string>& texts) {
    size_t at = 0;
    for (const auto& text : texts) {
        at = card.find(text, at);
        if (at == std::string::npos) return at;
        at += text.size();
    }
    return at;
}

// The score below which a share of ordinary pixels lies, between the [share, score] pairs of the calibration.
bool quantile(const std::string& card, const std::string& score, double share, double& found) {
    size_t at = behind(card, {"\"calibration\": {", "\"scores\": {", "\"" + score + "\": {", "\"quantiles\": ["});
    if (at == std::string::npos) return false;
    double last_share = 0, last = 0;
    bool first = true;
    while (card[at] == '[' || card[at] == ',' || card[at] == ' ') {
        at = card.find('[', at) + 1;
        char* end = nullptr;
        const double now = std::strtod(card.c_str() + at, &end);
        const double value = std::strtod(end + 1, nullptr);
        at = card.find(']', at) + 1;
        if (now >= share || card[at] == ']') {
            found = first || now <= share ? value : last + (value - last) * (share - last_share) / (now - last_share);
            return true;
        }
        last_share = now, last = value, first = false;
    }
    return false;
}

// Number of the part of each pixel above a level, 0 for none; pixels that touch, corners included, are one part.
std::vector<int> components(const float* heat, size_t width, size_t height, float level, int& count) {
    std::vector<int> labels(width * height, 0);
    std::vector<size_t> open;
    count = 0;
    for (size_t start = 0; start < labels.size(); ++start) {
        if (labels[start] != 0 || !(heat[start] > level)) continue;
        labels[start] = ++count;
        open.push_back(start);
        while (!open.empty()) {
            const size_t place = open.back(), x = place % width, y = place / width;
            open.pop_back();
            for (size_t v = y ? y - 1 : 0; v <= std::min(y + 1, height - 1); ++v)
                for (size_t u = x ? x - 1 : 0; u <= std::min(x + 1, width - 1); ++u)
                    if (labels[v * width + u] == 0 && heat[v * width + u] > level) {
                        labels[v * width + u] = count;
                        open.push_back(v * width + u);
                    }
        }
    }
    return labels;
}

// Parts above the threshold, those inside one part of a lower level as one region, small ones left out.
std::vector<Region> regions(const float* heat, size_t width, size_t height, float threshold, float lower, double least) {
    int count = 0, ignored = 0;
    const std::vector<int> labels = components(heat, width, height, threshold, count);
    const std::vector<int> wider = components(heat, width, height, std::min(lower, threshold), ignored);
    std::vector<size_t> areas(static_cast<size_t>(count) + 1, 0);
    for (const int label : labels) ++areas[static_cast<size_t>(label)];
    std::map<int, Region> found;
    for (size_t place = 0; place < labels.size(); ++place) {
        if (labels[place] == 0) continue;
        const size_t x = place % width, y = place / width;
        auto& each = found.try_emplace(wider[place], Region{x, y, x + 1, y + 1, 0, 0, 0.0, heat[place]}).first->second;
        each.x0 = std::min(each.x0, x), each.x1 = std::max(each.x1, x + 1), each.y1 = y + 1;
        each.sum += heat[place], each.peak = std::max(each.peak, heat[place]), ++each.area;
        each.largest = std::max(each.largest, areas[static_cast<size_t>(labels[place])]);
    }
    std::vector<Region> kept;
    for (const auto& [_, each] : found)
        if (static_cast<double>(each.largest) >= least) kept.push_back(each);
    std::stable_sort(kept.begin(), kept.end(), [](const Region& a, const Region& b) { return a.area > b.area; });
    return kept;
}

int main(int count, char** words) try {
    if (count < 3) throw std::runtime_error("usage: detect MODEL.onnx PICTURE.ppm [THRESHOLD]");
    const std::string card = read_file(words[1]);
    const size_t name = behind(card, {"\"scores\": [\""});
    if (name == std::string::npos) throw std::runtime_error("the model has no oddroad card; 'oddroad export' writes it");
    const std::string score = card.substr(name, card.find('"', name) - name);
    const size_t given = behind(card, {"\"thresholds\": {", "\"" + score + "\": "});
    if (count < 4 && given == std::string::npos) throw std::runtime_error("the card has no threshold; give a number");
    const auto threshold = static_cast<float>(std::strtod(count > 3 ? words[3] : card.c_str() + given, nullptr));
    double lower = threshold;
    quantile(card, score, 0.9995, lower);
    Picture picture = read_ppm(words[2]);
    const size_t area = behind(card, {"\"calibration\": {", "\"min_area\": "});
    double least = area == std::string::npos ? 0.0 : std::strtod(card.c_str() + area, nullptr);  // 0 of null
    if (least <= 0) least = static_cast<double>(picture.width * picture.height / 10000);

    ov::Core core;
    auto model = core.read_model(words[1]);
    const ov::Shape shape{1, picture.height, picture.width, 3};
    model->reshape(ov::PartialShape(shape));
    auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = compiled.create_infer_request();
    request.set_input_tensor(ov::Tensor(ov::element::u8, shape, picture.pixels.data()));
    request.infer();
    const ov::Tensor heat = request.get_tensor(score);
    for (const Region& each :
         regions(heat.data<float>(), picture.width, picture.height, threshold, static_cast<float>(lower), least))
        std::printf("%zu %zu %zu %zu area %zu mean %.4f peak %.4f\n", each.x0, each.y0, each.x1, each.y1, each.area,
                    each.sum / static_cast<double>(each.area), static_cast<double>(each.peak));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "detect: %s\n", error.what());
    return 2;
}
