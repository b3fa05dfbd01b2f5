using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Sqlite
{
    /// <inheritdoc />
    public partial class SaeFeatures : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "FeatureDescriptions",
                columns: table => new
                {
                    Id = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ModelVersionId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Latents = table.Column<int>(type: "INTEGER", nullable: false),
                    Responses = table.Column<int>(type: "INTEGER", nullable: false),
                    SentenceEnds = table.Column<int>(type: "INTEGER", nullable: false),
                    Pairs = table.Column<int>(type: "INTEGER", nullable: false),
                    PromptsDiscovery = table.Column<int>(type: "INTEGER", nullable: false),
                    PromptsTest = table.Column<int>(type: "INTEGER", nullable: false),
                    SpecJson = table.Column<string>(type: "TEXT", nullable: false),
                    CodesSha256 = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    At = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_FeatureDescriptions", x => x.Id);
                    table.ForeignKey(
                        name: "FK_FeatureDescriptions_ModelVersions_ModelVersionId",
                        column: x => x.ModelVersionId,
                        principalTable: "ModelVersions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "FeatureLabels",
                columns: table => new
                {
                    Id = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ModelVersionId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Latent = table.Column<int>(type: "INTEGER", nullable: false),
                    Version = table.Column<int>(type: "INTEGER", nullable: false),
                    Text = table.Column<string>(type: "TEXT", maxLength: 200, nullable: false),
                    Pattern = table.Column<string>(type: "TEXT", maxLength: 500, nullable: true),
                    Source = table.Column<int>(type: "INTEGER", nullable: false),
                    Author = table.Column<Guid>(type: "TEXT", nullable: true),
                    At = table.Column<long>(type: "INTEGER", nullable: false),
                    Detection = table.Column<double>(type: "REAL", nullable: true),
                    DetectionLow = table.Column<double>(type: "REAL", nullable: true),
                    DetectionHigh = table.Column<double>(type: "REAL", nullable: true),
                    Fuzzing = table.Column<double>(type: "REAL", nullable: true),
                    ScoredOn = table.Column<int>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_FeatureLabels", x => x.Id);
                    table.ForeignKey(
                        name: "FK_FeatureLabels_ModelVersions_ModelVersionId",
                        column: x => x.ModelVersionId,
                        principalTable: "ModelVersions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "ToggleSets",
                columns: table => new
                {
                    Id = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ModelVersionId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Number = table.Column<int>(type: "INTEGER", nullable: false),
                    Author = table.Column<Guid>(type: "TEXT", nullable: false),
                    CreatedAt = table.Column<long>(type: "INTEGER", nullable: false),
                    Name = table.Column<string>(type: "TEXT", maxLength: 120, nullable: false),
                    Reason = table.Column<string>(type: "TEXT", maxLength: 2000, nullable: false),
                    TogglesJson = table.Column<string>(type: "TEXT", nullable: false),
                    Target = table.Column<string>(type: "TEXT", maxLength: 500, nullable: false),
                    State = table.Column<int>(type: "INTEGER", nullable: false),
                    PreviewJson = table.Column<string>(type: "TEXT", nullable: true),
                    JobId = table.Column<Guid>(type: "TEXT", nullable: true),
                    PublishedVersionId = table.Column<Guid>(type: "TEXT", nullable: true),
                    DecidedBy = table.Column<Guid>(type: "TEXT", nullable: true),
                    DecidedAt = table.Column<long>(type: "INTEGER", nullable: true),
                    RowVersion = table.Column<int>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_ToggleSets", x => x.Id);
                    table.ForeignKey(
                        name: "FK_ToggleSets_ModelVersions_ModelVersionId",
                        column: x => x.ModelVersionId,
                        principalTable: "ModelVersions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "FeatureContexts",
                columns: table => new
                {
                    Id = table.Column<long>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    DescriptionId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Latent = table.Column<int>(type: "INTEGER", nullable: false),
                    ResponseId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Position = table.Column<int>(type: "INTEGER", nullable: false),
                    Band = table.Column<int>(type: "INTEGER", nullable: false),
                    Start = table.Column<int>(type: "INTEGER", nullable: false),
                    Length = table.Column<int>(type: "INTEGER", nullable: false),
                    Activation = table.Column<double>(type: "REAL", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_FeatureContexts", x => x.Id);
                    table.ForeignKey(
                        name: "FK_FeatureContexts_FeatureDescriptions_DescriptionId",
                        column: x => x.DescriptionId,
                        principalTable: "FeatureDescriptions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "SaeFeatures",
                columns: table => new
                {
                    DescriptionId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Latent = table.Column<int>(type: "INTEGER", nullable: false),
                    FiringAtEnd = table.Column<int>(type: "INTEGER", nullable: false),
                    FiringAtSentence = table.Column<int>(type: "INTEGER", nullable: false),
                    ActivationMax = table.Column<double>(type: "REAL", nullable: false),
                    ActivationMean = table.Column<double>(type: "REAL", nullable: false),
                    HeadWeight = table.Column<double>(type: "REAL", nullable: false),
                    ContributionMean = table.Column<double>(type: "REAL", nullable: false),
                    GapContribution = table.Column<double>(type: "REAL", nullable: false),
                    PairsDiffering = table.Column<int>(type: "INTEGER", nullable: false),
                    RewardAuc = table.Column<double>(type: "REAL", nullable: true),
                    SelectionScore = table.Column<double>(type: "REAL", nullable: true),
                    SelectionP = table.Column<double>(type: "REAL", nullable: true),
                    SelectionQ = table.Column<double>(type: "REAL", nullable: true),
                    ResidualScore = table.Column<double>(type: "REAL", nullable: true),
                    ResidualP = table.Column<double>(type: "REAL", nullable: true),
                    ResidualQ = table.Column<double>(type: "REAL", nullable: true),
                    HistogramJson = table.Column<string>(type: "TEXT", nullable: false),
                    RelatedJson = table.Column<string>(type: "TEXT", nullable: false),
                    VotersJson = table.Column<string>(type: "TEXT", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_SaeFeatures", x => new { x.DescriptionId, x.Latent });
                    table.ForeignKey(
                        name: "FK_SaeFeatures_FeatureDescriptions_DescriptionId",
                        column: x => x.DescriptionId,
                        principalTable: "FeatureDescriptions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_FeatureContexts_DescriptionId_Latent_Band",
                table: "FeatureContexts",
                columns: new[] { "DescriptionId", "Latent", "Band" });

            migrationBuilder.CreateIndex(
                name: "IX_FeatureDescriptions_ModelVersionId_At",
                table: "FeatureDescriptions",
                columns: new[] { "ModelVersionId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_FeatureLabels_ModelVersionId_Latent_Version",
                table: "FeatureLabels",
                columns: new[] { "ModelVersionId", "Latent", "Version" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_ToggleSets_ModelVersionId",
                table: "ToggleSets",
                column: "ModelVersionId");

            migrationBuilder.CreateIndex(
                name: "IX_ToggleSets_ProjectId_Number",
                table: "ToggleSets",
                columns: new[] { "ProjectId", "Number" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_ToggleSets_PublishedVersionId",
                table: "ToggleSets",
                column: "PublishedVersionId");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "FeatureContexts");

            migrationBuilder.DropTable(
                name: "FeatureLabels");

            migrationBuilder.DropTable(
                name: "SaeFeatures");

            migrationBuilder.DropTable(
                name: "ToggleSets");

            migrationBuilder.DropTable(
                name: "FeatureDescriptions");
        }
    }
}
